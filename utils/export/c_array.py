"""A `.tflite` file as an array in C, for devices without a file system.

Two texts: a header with the array's length and what stands at the network's border (names, shapes,
types, scales, zero points) as constants, and a source with the bytes. Both are C++ as the examples
of TensorFlow Lite Micro have it; the symbols have C linkage, and the header serves C as well.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from utils.export.flatbuffer import FileGraph, Tensor, read_graph

ALIGNMENT = 16  # bytes: what the runtime asks of a model's address
_PER_LINE = 16


class CArray(NamedTuple):
    """The texts of a header and of a source that includes it."""

    header: str
    source: str


def identifier(text: str) -> str:
    """Make a name of C.

    Example:
        >>> identifier("2nd-model.int8")
        '_2nd_model_int8'
    """
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return f"_{name}" if not name or name[0].isdigit() else name


def c_array(content: bytes, name: str) -> CArray:
    """Write a file as an array.

    Args:
        content: of a `.tflite` file that the interpreter accepts.
        name: of the header and the source without their endings; the array is called so, as far as
            C allows.

    Returns:
        The texts. The array begins at a multiple of 16 bytes and holds exactly the file.
    """
    symbol = identifier(name)
    guard = f"{symbol.upper()}_H_"
    constants = "\n".join(_constants(read_graph(content), symbol.upper(), len(content)))
    header = f"""\
// Made by Flowpress of {json.dumps(name + ".tflite")}.
#ifndef {guard}
#define {guard}

{constants}

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char {symbol}[];
extern const unsigned int {symbol}_len;

#ifdef __cplusplus
}}
#endif

#endif  // {guard}
"""
    source = f"""\
// Made by Flowpress of {json.dumps(name + ".tflite")}.
#include "{name}.h"

alignas({ALIGNMENT}) const unsigned char {symbol}[] = {{
{_bytes(content)}
}};
const unsigned int {symbol}_len = {len(content)};
"""
    return CArray(header, source)


def _constants(graph: FileGraph, prefix: str, length: int) -> Iterator[str]:
    yield f"#define {prefix}_LEN {length}"
    yield f"#define {prefix}_ALIGNMENT {ALIGNMENT}"
    sides: Mapping[str, tuple[dict[str, int], tuple[int, ...]]] = {
        "INPUT": (graph.inputs, graph.input_order),
        "OUTPUT": (graph.outputs, graph.output_order),
    }
    for side, (names, order) in sides.items():
        by_number = {number: name for name, number in names.items()}
        yield f"#define {prefix}_NUM_{side}S {len(order)}"
        for place, number in enumerate(order):  # as the interpreter numbers them
            tensor = graph.tensors[number]
            head = f"#define {prefix}_{side}_{place}"
            yield f"{head}_NAME {json.dumps(by_number.get(number, tensor.name))}"
            yield f"{head}_TYPE {json.dumps(tensor.dtype)}"
            yield f"{head}_SIZE {math.prod(tensor.shape)}"
            yield f"{head}_SHAPE {{{', '.join(map(str, tensor.shape))}}}"
            yield from _grid(head, tensor)


def _grid(head: str, tensor: Tensor) -> Iterator[str]:
    """Say what a tensor's integers stand for: (integer - zero point) * scale."""
    if len(tensor.scale) == 1:
        scale = np.format_float_scientific(np.float32(tensor.scale[0]), trim="0")
        yield f"{head}_SCALE {scale}f"
        yield f"{head}_ZERO_POINT {int(tensor.zero_point[0])}"


def _bytes(content: bytes) -> str:
    lines = (content[i : i + _PER_LINE] for i in range(0, len(content), _PER_LINE))
    return "\n".join(f"    0x{line.hex(',').replace(',', ', 0x')}," for line in lines)
