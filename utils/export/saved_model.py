"""A Keras network as TensorFlow's SavedModel, which converters read without knowing its classes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from utils.errors import InputError
from utils.export.errors import ExportError

#: Time steps of all recurrent layers together that are written one after the other. 400 of them
#: took two minutes and made a file of 4 MB.
MAX_STEPS = 512


def write_saved_model(
    model: keras.Model, folder: str | os.PathLike[str], *, unroll: bool = False
) -> tuple[str, ...]:
    """Write a network with a static batch of one.

    Args:
        model: a built Functional or Sequential model with fixed input shapes; left as it is.
        folder: where.
        unroll: write the steps of recurrent layers one after the other instead of as a loop. The
            outputs are the same.

    Returns:
        Names of the layers that were unrolled.

    Raises:
        InputError: if the model has no fixed input shapes.
        ExportError: if a loop cannot be unrolled.
    """
    signature = input_specs(model)
    loops = looping_layers(model) if unroll else []
    _check_steps(model, loops)
    archive = keras.export.ExportArchive()
    archive.track(model)
    with _unrolled(loops):
        # Layers that augment images do so unless they are told not to, even in `model.export`.
        archive.add_endpoint(
            "serve", lambda inputs: model(inputs, training=False), input_signature=[signature]
        )
        archive.write_out(os.fspath(folder), verbose=False)
    return tuple(layer.name for layer in loops)


def looping_layers(model: keras.Model) -> list[Any]:
    """List the recurrent layers that are computed in a loop, also those inside other layers."""
    layers = model._flatten_layers(include_self=False, recursive=True)
    return [
        layer
        for layer in layers
        if isinstance(layer, keras.layers.RNN) and not getattr(layer, "unroll", True)
    ]


def num_steps(layer: Any) -> int | None:
    """Time steps of a recurrent layer; None where they are open or the layer was not built."""
    shape = (layer.get_build_config() or {}).get("input_shape")
    return None if not shape or len(shape) < 2 else shape[1]


def _check_steps(model: keras.Model, loops: list[Any]) -> None:
    head = f"{model.name!r} cannot be converted to a file of the kind int8: "
    advice = "leave int8 out (--tflite=float32,dynamic)."
    steps = {layer.name: num_steps(layer) for layer in loops}
    for name, number in steps.items():
        if number is None:
            raise ExportError(
                f"{head}the recurrent layer {name!r} has no fixed number of time steps, and a loop "
                f"cannot be calibrated. Give the input a fixed length, or {advice}"
            )
    total = sum(number for number in steps.values() if number is not None)
    if total > MAX_STEPS:
        raise ExportError(
            f"{head}its recurrent layers {', '.join(steps)} have {total} time steps, at most "
            f"{MAX_STEPS} are unrolled, and a loop cannot be calibrated. Shorten the input, or "
            f"{advice}"
        )


@contextlib.contextmanager
def _unrolled(layers: list[Any]) -> Iterator[None]:
    for layer in layers:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in layers:
            layer.unroll = False


def input_specs(model: keras.Model, batch_size: int = 1) -> Any:
    """Describe a model's inputs with a static batch, in the structure in which it takes them.

    A static batch keeps the operators that compute shapes (SHAPE, PACK) out of a file.

    Args:
        model: a built Functional or Sequential model.
        batch_size: samples per call.

    Returns:
        `tf.TensorSpec`s, nested like the model's inputs.

    Raises:
        InputError: if the model's inputs or their shapes are not known.
    """
    tensors = getattr(model, "inputs", None)
    if not tensors:
        raise InputError(
            f"the model {model.name!r} has no known inputs: only built Functional and Sequential "
            "models can be exported. Call it on a keras.Input and wrap both in keras.Model."
        )
    for tensor in tensors:
        if None in tensor.shape[1:]:
            raise InputError(
                f"the input {tensor.name!r} of {model.name!r} has no fixed shape: {tensor.shape}. "
                "Build the model for the one size it will be used with."
            )
    # A Sequential model has `inputs`, but no `input` before it is called on another's tensors.
    structure = tensors[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(
            (batch_size, *tensor.shape[1:]), tensor.dtype, name=tensor.name
        ),
        structure,
    )
