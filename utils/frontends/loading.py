"""A network of any framework as a Keras model, for those who do not care which it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from utils.errors import InputError
from utils.files import NETWORK_ENDINGS, load_keras_model
from utils.frontends import check_network_path
from utils.frontends.convert import convert

if TYPE_CHECKING:
    import keras


def load_network(
    path: str,
    *,
    input_shape: str | None = None,
    weights: str | None = None,
    allow_unsafe: bool = False,
) -> tuple[keras.Model, tuple[str, ...]]:
    """Load a network, whatever wrote it.

    Args:
        path: a file, a SavedModel's folder, or a PyTorch module as `net.py:make_net`.
        input_shape: sizes that the file leaves open, see `utils.frontends.shapes`.
        weights: PyTorch's state dict.
        allow_unsafe: also load Python code in Keras files.

    Returns:
        The model, and what there is to say of the conversion.

    Raises:
        InputError: if the file is refused, or something is given that it does not take; a
            `ConversionError` if a node cannot be converted.
    """
    framework = "keras" if path.endswith(NETWORK_ENDINGS) else check_network_path("model", path)
    options: dict[str, Any] = {"input_shape": input_shape, "weights": weights}
    options = {name: value for name, value in options.items() if value is not None}
    if weights is not None and framework != "torch":
        raise InputError(f"`weights` is for PyTorch modules. Received: --weights={weights}.")
    if framework == "keras":
        if options:
            raise InputError("`input_shape` is for files that leave it open; a Keras file says it.")
        return load_keras_model(path, allow_unsafe), ()
    converted = convert(framework, path, **options)
    return converted.model, converted.notes
