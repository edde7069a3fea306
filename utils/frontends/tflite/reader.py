"""Float `.tflite` files as Keras networks.

Weights may be float16 behind DEQUANTIZE or stored without their zeros behind DENSIFY. Integer files
and networks that keep state between calls are refused: the first have lost what training needs,
the second are no functions of their inputs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from utils.errors import InputError
from utils.frontends.building import build
from utils.frontends.convert import Converted
from utils.frontends.shapes import Shapes, with_shapes
from utils.frontends.source import SourceInput, SourceNetwork, SourceNode
from utils.frontends.tflite.file import FileOperator, TfliteFile, parse
from utils.frontends.tflite.operators import OPERATORS, settings

MAX_FILE_BYTES = 4 << 30
_STATEFUL = ("ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE")
_INTEGERS = ("int4", "int8", "uint8", "int16")
_DENSE_KERNELS = ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED",
                  "TRANSPOSE_CONV")  # fmt: skip


def convert(path: str, input_shape: Shapes = None) -> Converted:
    """Read a file and build it of Keras layers.

    Args:
        path: the `.tflite` file.
        input_shape: sizes that the file leaves open, see `utils.frontends.shapes`.

    Returns:
        The network; its batch is open.

    Raises:
        InputError: if the file is damaged, of integers, or keeps state; a `ConversionError` if
            operators cannot be converted.
    """
    return build(read(path, input_shape), OPERATORS)


def read(path: str, input_shape: Shapes = None) -> SourceNetwork:
    """Read a file, see `convert`."""
    target = pathlib.Path(path)
    if not target.is_file():
        raise InputError(f"there is no file {path!r}.")
    size = target.stat().st_size
    if size > MAX_FILE_BYTES:
        raise InputError(f"{path}: {size:,} bytes, at most {MAX_FILE_BYTES:,} are read.")
    try:
        found = parse(target.read_bytes())
        _check_kind(found)
        return network(found, target.stem, input_shape)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def network(found: TfliteFile, name: str, input_shape: Shapes = None) -> SourceNetwork:
    """Describe what a file holds for the builder.

    Args:
        found: the file's content.
        name: of the network.
        input_shape: see `convert`.
    """
    names = _tensor_names(found)
    inputs = tuple(
        SourceInput(names[index], tuple(found.tensors[index].shape), found.tensors[index].dtype)
        for index in found.inputs.values()
    )
    made = {index for operator in found.operators for index in operator.outputs if index >= 0}
    constants = {
        names[index]: tensor.values
        for index, tensor in enumerate(found.tensors)
        if tensor.values is not None and index not in made
    }
    batches = {source.shape[0] for source in inputs if source.shape}
    read = SourceNetwork(
        name=name,
        inputs=inputs,
        outputs=tuple(names[index] for index in found.outputs.values()),
        nodes=tuple(
            _node(found, names, number, each) for number, each in enumerate(found.operators)
        ),
        constants=constants,
        batch=batches.pop() if len(batches) == 1 else None,
    )
    return with_shapes(read, input_shape)


def _node(
    found: TfliteFile, names: Sequence[str], number: int, operator: FileOperator
) -> SourceNode:
    """Describe an operator; it is called after what it makes."""
    attrs = settings(operator.options)
    if operator.name == "DEQUANTIZE" and operator.inputs and operator.inputs[0] >= 0:
        stored = found.tensors[operator.inputs[0]]
        attrs |= {
            "scale": stored.scale,
            "zero_point": stored.zero_point,
            "quantized_axis": stored.quantized_axis,
        }
    if operator.name == "CAST" and operator.outputs and operator.outputs[0] >= 0:
        attrs["dtype"] = found.tensors[operator.outputs[0]].dtype  # what the interpreter goes by
    outputs = tuple(names[index] if index >= 0 else "" for index in operator.outputs)
    if not any(outputs):
        raise InputError(f"operator {number} ({operator.name}) makes nothing.")
    return SourceNode(
        name=outputs[0] or f"{operator.name}_{number}",
        op=operator.name,
        inputs=tuple(names[index] if index >= 0 else "" for index in operator.inputs),
        outputs=outputs,
        attrs=attrs,
    )


def _tensor_names(found: TfliteFile) -> list[str]:
    """Name every tensor once: by the signature, else as in the file."""
    given = {index: name for name, index in {**found.outputs, **found.inputs}.items()}
    taken: set[str] = set(given.values())
    names = []
    for index, tensor in enumerate(found.tensors):
        name = given.get(index) or tensor.name or f"tensor_{index}"
        if index not in given and name in taken:
            name = f"{name}#{index}"
        taken.add(name)
        names.append(name)
    return names


def _check_kind(found: TfliteFile) -> None:
    """Refuse integer files and networks with a memory before anything is built.

    Raises:
        InputError: with what to do.
    """
    stateful = sorted({each.name for each in found.operators if each.name in _STATEFUL})
    if stateful:
        raise InputError(
            f"the network keeps state between calls ({', '.join(stateful)}), which a Keras network "
            "does not. Convert the network that it was made from, one whole window per call."
        )
    computed = {index for each in found.operators for index in each.outputs if index >= 0}
    computed |= set(found.inputs.values())
    quantized = [
        found.tensors[index].name
        for index in sorted(computed)
        if found.tensors[index].dtype in _INTEGERS and found.tensors[index].scale.size
    ]
    if quantized:
        raise InputError(
            f"the file computes in integers ({len(quantized)} tensors, the first "
            f"{quantized[0]!r}). Training needs floats: give the float file or the network that it "
            "was made from."
        )
    hybrid = [
        each.name
        for each in found.operators
        if each.name in _DENSE_KERNELS
        and any(i >= 0 and found.tensors[i].dtype in _INTEGERS for i in each.inputs[1:2])
    ]
    if hybrid:
        raise InputError(
            f"the file has integer weights ({len(hybrid)} operators, the first a {hybrid[0]}) and "
            "rounds what they are multiplied with. Give the float file that it was made from."
        )
