"""One call for all front ends: a file of any framework becomes a Keras network."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.errors import InputError
from utils.frontends import find_frontend

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Converted:
    """A network of another framework, built of Keras layers.

    Attributes:
        model: plain Functional model with the source's weights; its layers carry the source's
            names. `utils.graph.from_keras` makes its graph.
        input_orders: for each input of the model, in its order: the source's name of it, and the
            order of its axes: `order[i]` is the source's axis that lies on axis i. Channels-first
            images have (0, 2, 3, 1). See `utils.frontends.layout.to_built`.
        output_orders: the same for the outputs.
        notes: what the user should know, a sentence each.
    """

    model: keras.Model
    input_orders: Mapping[str, tuple[int, ...]]
    output_orders: Mapping[str, tuple[int, ...]]
    notes: tuple[str, ...] = ()


def convert(framework: str, path: str | os.PathLike[str], **options: Any) -> Converted:
    """Read a network of any framework and build it of Keras layers.

    Args:
        framework: a name in `utils.frontends.FRONTENDS`.
        path: the file; for PyTorch `file.py:name`.
        **options: what the framework's reader takes beside it, such as `input_shape`.

    Returns:
        The network.

    Raises:
        InputError: if the framework is unknown, its package is missing, or the file is refused;
            a `ConversionError` if nodes cannot be converted.
    """
    read = find_frontend(framework).load()
    try:
        return read(os.fspath(path), **options)
    except InputError:
        raise
    except Exception as error:  # whatever a reader stumbles over in a file from anywhere
        raise InputError(
            f"{os.fspath(path)}: cannot be converted ({type(error).__name__}: "
            f"{str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}). Copy "
            "or create the file anew; if it is sound, please report it."
        ) from error
