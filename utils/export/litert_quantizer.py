"""The second way to an int8 file: ranges and weights handed to `litert-quantizer`.

It works on the float `.tflite` file: weights that lie on a grid come out on it again where a weight
of every channel is at the grid's end, and tensors get the ranges that they are given. It takes what
the converter refuses: 4-bit convolutions, 16-bit activations.

The package is not needed for anything else: the extra `litert` installs it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.export.errors import ExportError
from utils.export.exporters import Made, Source
from utils.export.flatbuffer import FileGraph, read_graph
from utils.export.quiet import quiet_native

PACKAGE, EXTRA = "litert_quantizer", "litert"
NUM_SAMPLES = 8  # that are run; all ranges are given
FEW_BITS, WHOLE_BITS = 4, 8
_SIGNATURE = "serving_default"
Ranges = Mapping[str, tuple[float, float]]


def require_package() -> None:
    """Refuse where the package is missing.

    Raises:
        InputError: naming the extra.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise InputError(
            f"this way to a file needs the package {PACKAGE}, which is not installed. Install the "
            f"extra `{EXTRA}`: pip install '.[{EXTRA}]', or choose --way=converter."
        )


def quantized_file(
    content: bytes,
    ranges: Ranges,
    samples: Sequence[Mapping[str, np.ndarray]],
    *,
    outputs: Sequence[str],
    weight_bits: int = 8,
    activation_bits: int = 8,
    per_channel: bool = True,
) -> bytes:
    """Quantize a float file.

    Args:
        content: of the float `.tflite` file.
        ranges: node of the Keras network -> least and greatest value of its output; of the inputs
            under their names.
        samples: a few inputs [1, …] by name: tensors without a range are calibrated with them.
        outputs: the nodes that give the network's outputs, in order.
        weight_bits: 4 or 8, of convolutions and Dense layers; depthwise and transposed ones have 8.
        activation_bits: 8 or 16.
        per_channel: output channels of convolutions have scales of their own.

    Returns:
        The file. It takes and gives integers.

    Raises:
        InputError: if the package is missing.
        ExportError: if it cannot quantize the network.
    """
    require_package()
    from litert_quantizer import qtyping, quantizer

    names, granularity = qtyping.TFLOperationName, qtyping.QuantGranularity
    work = quantizer.Quantizer(bytearray(content))
    # Later ones count. Asked for 4-bit weights, what has no form with them would stay in float. Our
    # grids of Dense layers have one scale (`utils.quantization.integers`).
    for operator, bits, by_channel in (
        (names.ALL_SUPPORTED, WHOLE_BITS, per_channel),
        (names.CONV_2D, weight_bits, per_channel),
        (names.FULLY_CONNECTED, weight_bits, False),
    ):
        work.add_static_config(
            regex=".*",
            operation_name=operator,
            activation_num_bits=activation_bits,
            weight_num_bits=bits,
            weight_granularity=granularity.CHANNELWISE if by_channel else granularity.TENSORWISE,
        )
    try:
        # It prints how large the file has become.
        with quiet_native(), contextlib.redirect_stdout(io.StringIO()):
            found = work.calibrate({_SIGNATURE: list(samples)}, num_threads=1)
            _give(found, read_graph(content), ranges, outputs)
            result: bytes = bytes(work.quantize(found).quantized_model)
    except (ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ExportError(f"litert-quantizer cannot quantize the network: {reason}") from error
    return result


def litert_file(source: Source) -> Made:
    """Make the file of a network that holds all ranges, see `utils.export.exporters`."""
    from utils.export.tflite import convert
    from utils.graph import from_keras, to_keras
    from utils.quantization.fake_quant_graph import without_quantizers

    if source.io_format != "int8":
        raise InputError(
            "files by litert-quantizer take and give int8. Received: --tflite_io="
            f"{source.io_format}."
        )
    found = without_quantizers(from_keras(source.model, allow_unsafe=True))
    few = set(found.bits.values()) == {FEW_BITS}
    content = quantized_file(
        convert(to_keras(found.graph), "float32"),
        found.ranges,
        list(source.samples)[:NUM_SAMPLES],
        outputs=[ref.node for ref in found.graph.outputs],
        weight_bits=FEW_BITS if few else WHOLE_BITS,
    )
    return Made(content=content)


def _give(
    found: dict[str, dict[str, Any]], graph: FileGraph, ranges: Ranges, outputs: Sequence[str]
) -> None:
    """Put ranges in the places of those that were calibrated."""
    names = {graph.tensors[index].name: name for name, index in graph.inputs.items()}
    ends = zip(graph.outputs.values(), outputs, strict=True)
    names |= {graph.tensors[index].name: name for index, name in ends}
    for tensor, held in found.items():
        known = [names[tensor]] if tensor in names else _nodes(tensor, ranges)
        if known and known[0] in ranges and held:
            for key, value in zip(("min", "max"), ranges[known[0]], strict=True):
                held[key] = np.full_like(held[key], value)


def _nodes(tensor: str, ranges: Ranges) -> list[str]:
    """Find the nodes that a tensor's name is made of, e.g. `net/relu_1/Relu;net/conv_1/conv`."""
    parts = [part for path in tensor.split(";") for part in path.split("/")]
    candidates = [each for part in parts for each in (part, re.sub(r"_\d+$", "", part))]
    return [each for each in candidates if each in ranges]
