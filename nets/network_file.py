"""The file of a trained network, of any framework: `--model` and its like."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from utils.command import notes
from utils.errors import InputError
from utils.files import NETWORK_ENDINGS
from utils.frontends import check_network_path

if TYPE_CHECKING:
    import keras


def check_network(path: str) -> None:
    """Refuse a file that is not there or that nothing reads, before any framework is imported.

    Args:
        path: a file, a SavedModel's folder, or a PyTorch module as `net.py:make_net`.

    Raises:
        InputError: says which are read.
    """
    if not path.endswith(NETWORK_ENDINGS):
        check_network_path("model", path)
    elif not pathlib.Path(path).is_file():
        raise InputError(f"`model`: there is no file {path!r}. Give the path of a trained network.")


def read_network(
    path: str,
    *,
    input_shape: str | None = None,
    weights: str | None = None,
    allow_unsafe: bool = False,
) -> keras.Model:
    """Load a network and print what there is to say of its conversion.

    Args:
        path: see `check_network`.
        input_shape: sizes that the file leaves open, batch included, as `1,3,224,224`.
        weights: PyTorch's state dict, MXNet's .params.
        allow_unsafe: also load Python code in Keras files.

    Returns:
        The model, uncompiled.

    Raises:
        InputError: see `utils.frontends.loading.load_network`.
    """
    from utils.frontends.loading import load_network

    model, found = load_network(
        path, input_shape=input_shape, weights=weights, allow_unsafe=allow_unsafe
    )
    for note in found:
        notes.print(f"note: {note}", markup=False)
    return model
