"""Keras files: nothing is converted, the network is what the file holds."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from utils.errors import InputError
from utils.files import load_keras_model
from utils.frontends.convert import Converted


def convert(
    path: str,
    input_shape: Sequence[int | None] | None = None,
    *,
    allow_unsafe: bool = False,
) -> Converted:
    """Load a file.

    Args:
        path: a `.keras` or `.h5` file that holds a whole network.
        input_shape: must be left out: the file says it.
        allow_unsafe: also load Python code (Lambda layers). It runs: only for files you trust.

    Returns:
        The network as a plain Functional model.

    Raises:
        InputError: see `utils.files.load_keras_model`; if a subclassed model cannot be traced.
    """
    if input_shape:
        raise InputError("`input_shape` is for files that leave it open; a Keras file says it.")
    if not pathlib.Path(path).is_file():
        raise InputError(f"there is no file {os.fspath(path)!r}.")
    from utils.graph.keras_reading import functional_model

    model = functional_model(load_keras_model(path, allow_unsafe=allow_unsafe))
    return Converted(
        model=model,
        input_orders={tensor.name: tuple(range(len(tensor.shape))) for tensor in model.inputs},
        output_orders={
            name: tuple(range(len(tensor.shape)))
            for name, tensor in zip(_output_names(model), model.outputs, strict=True)
        },
    )


def _output_names(model: object) -> list[str]:
    """Name the outputs, each once."""
    names: list[str] = []
    for name in model.output_names:  # type: ignore[attr-defined]
        names.append(f"{name}_{len(names)}" if name in names else name)
    return names
