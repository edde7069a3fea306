"""PyTorch: a module from the user's file and its state dict, by way of ONNX.

PyTorch works in a process of its own, never in this one, see `utils.frontends.torch.process`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

from utils.errors import InputError
from utils.folders import passing_folder
from utils.frontends.convert import Converted
from utils.frontends.onnx.reader import convert_network, read_network
from utils.frontends.shapes import Shapes, parse_shapes
from utils.frontends.source import SourceNetwork
from utils.frontends.torch.naming import with_module_names
from utils.frontends.torch.process import TorchProcess

_OPEN_BATCH = 2  # stands for a batch that stays open


def convert(path: str, weights: str | None = None, input_shape: Shapes = None) -> Converted:
    """Build the Keras network of a PyTorch module.

    A batch of 1 could not be told from other axes of size 1 in the exported file: it is written
    with a batch of 2, and only if the network then cannot do without a fixed batch with the user's.

    Args:
        path: `file.py:name` of a function without arguments that returns a module, of a module's
            class, or of a module.
        weights: a state dict (`.pt`, `.pth`, `.th`) for it; None keeps what the module has.
        input_shape: sizes of the inputs, batch included, in the order of `forward`'s arguments;
            see `utils.frontends.shapes`.

    Returns:
        The network.

    Raises:
        InputError: if module, state dict or shapes do not fit or cannot be exported; a
            `ConversionError` if nodes cannot be converted.
    """
    sizes = _sizes(input_shape)
    doubled = [(max(size[0], _OPEN_BATCH), *size[1:]) if size else size for size in sizes]
    with TorchProcess(path, weights) as process:
        if doubled == sizes:
            return convert_network(_exported(process, sizes))
        with contextlib.suppress(InputError):
            converted = convert_network(_exported(process, doubled))
            if converted.model.inputs[0].shape[0] is None:
                return converted
        return convert_network(_exported(process, sizes))


def _exported(process: TorchProcess, sizes: Sequence[tuple[int, ...]]) -> SourceNetwork:
    """Export the module to ONNX and read that; nodes are called after the modules they are of."""
    with passing_folder() as folder:
        path = os.path.join(folder, "network.onnx")
        process.export(sizes, path)
        network = with_module_names(read_network(path), path)
    name = re.sub(r"\W+", "_", pathlib.Path(process.path).stem) or "network"
    return dataclasses.replace(network, name=name)


def _sizes(shapes: Shapes) -> list[tuple[int, ...]]:
    if not shapes:
        raise InputError("PyTorch networks need --input_shape, e.g. --input_shape=1,3,224,224.")
    if isinstance(shapes, str):
        shapes = parse_shapes(shapes)
    given = list(shapes.values()) if isinstance(shapes, Mapping) else [tuple(shapes)]
    found = []
    for shape in given:
        if None in shape[1:]:
            raise InputError(f"only the batch of a PyTorch input may be open. Received: {shape}.")
        found.append(tuple(_OPEN_BATCH if size is None else size for size in shape))
    return found
