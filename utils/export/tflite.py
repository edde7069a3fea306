"""Convert a Keras network to a `.tflite` file.

The way is `model.export` with a static batch of one, then TensorFlow's converter: it folds batch
normalization into the convolutions and, for int8, takes activation ranges (minimum and maximum)
from representative samples; kernels get one scale per output channel.
"""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.export.config import KINDS
from utils.export.errors import ExportError
from utils.export.quiet import quiet_native

#: Batches of inputs: arrays [batch, …], or a list, tuple or dict of them for several inputs.
Calibration = Iterable[Any]

_IO_FORMATS = {"int8": tf.int8, "float32": tf.float32}


def convert(
    model: keras.Model,
    kind: str,
    calibration: Calibration | None = None,
    *,
    io_format: str = "int8",
) -> bytes:
    """Convert a network to one kind of `.tflite` file.

    Equal networks and samples give equal bytes. Operators without an integer kernel stay in float
    inside an int8 file; `utils.export.flatbuffer.FileGraph.float_operators` names them.

    Args:
        model: a built Functional or Sequential model with fixed input shapes.
        kind: "float32"; "dynamic" (int8 kernels, float activations); "int8".
        calibration: for "int8", batches of inputs (no labels) as the network sees them when it is
            used: training samples, preprocessed, not augmented.
        io_format: what an int8 file takes and gives, "int8" or "float32".

    Returns:
        The content of the file, for batch size one.

    Raises:
        InputError: for an unknown kind, a model without fixed input shapes, missing or unusable
            calibration samples.
        ExportError: if the converter has no way to express the network.
    """
    if kind not in KINDS:
        raise InputError(f"`kind` must be one of {', '.join(KINDS)}. Received: {kind!r}.")
    if io_format not in _IO_FORMATS:
        raise InputError(f"`tflite_io` must be int8 or float32. Received: {io_format!r}.")
    signature = input_specs(model)
    samples = _calibration_samples(model, calibration) if kind == "int8" else []
    with tempfile.TemporaryDirectory(prefix="flowpress-") as folder, _quiet_converter():
        try:
            model.export(
                folder, format="tf_saved_model", verbose=False, input_signature=[signature]
            )
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            if kind != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if kind == "int8":
                _ask_for_integers(converter, samples, io_format)
            return converter.convert()
        except Exception as error:  # the converter raises whatever its passes raise
            raise ExportError(_explain(model.name, kind, error)) from error


def _ask_for_integers(
    converter: tf.lite.TFLiteConverter, samples: list[dict[str, np.ndarray]], io_format: str
) -> None:
    converter.representative_dataset = lambda: iter(samples)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,  # what has no integer kernel stays in float
    ]
    converter.inference_input_type = _IO_FORMATS[io_format]
    converter.inference_output_type = _IO_FORMATS[io_format]


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


def _calibration_samples(
    model: keras.Model, calibration: Calibration | None
) -> list[dict[str, np.ndarray]]:
    """Split calibration batches into single samples by input name, and check them."""
    if calibration is None:
        raise InputError(
            "an int8 file needs calibration samples. Give about 100 training inputs, preprocessed "
            "as for evaluation."
        )
    samples = [sample for batch in calibration for sample in _split(model, batch)]
    if not samples:
        raise InputError("an int8 file needs calibration samples. Received: none.")
    return samples


def _split(model: keras.Model, batch: Any) -> Iterator[dict[str, np.ndarray]]:
    names = [tensor.name for tensor in model.inputs]
    if isinstance(batch, Mapping):
        arrays = {name: np.asarray(batch[name]) for name in names if name in batch}
    else:
        listed = batch if isinstance(batch, list | tuple) else [batch]
        arrays = dict(zip(names, map(np.asarray, listed), strict=False))
        if len(listed) != len(names):
            arrays = {}
    if len(arrays) != len(names):
        raise InputError(f"calibration batches must hold the inputs {names} and nothing else.")
    for tensor in model.inputs:
        values = arrays[tensor.name] = arrays[tensor.name].astype(tensor.dtype)
        if values.shape[1:] != tuple(tensor.shape[1:]):
            raise InputError(
                f"calibration samples for input {tensor.name!r} must have the shape (n, "
                f"{', '.join(map(str, tensor.shape[1:]))}). Received: {values.shape}."
            )
        if not np.all(np.isfinite(values)):
            raise InputError(
                f"calibration samples for input {tensor.name!r} contain NaN or infinity; the "
                "ranges taken from them would be meaningless. Check their preprocessing."
            )
    for index in range(len(arrays[names[0]])):
        yield {name: array[index : index + 1] for name, array in arrays.items()}


@contextlib.contextmanager
def _quiet_converter() -> Iterator[None]:
    """Hold back the logs of TensorFlow's Python and C++ sides during a conversion."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet_native():
            yield
    finally:
        logger.setLevel(level)


def _explain(name: str, kind: str, error: Exception) -> str:
    """Name the operators that the file format lacks, else the first line of the trouble."""
    text = str(error)
    head = f"{name!r} cannot be converted to a {kind} .tflite file: "
    lacking = re.search(r"(?:TF Select|Flex|Custom) ops: ([\w, ]+)", text)
    if lacking:
        layers = sorted(set(re.findall(r'"([\w/.]+)@__inference', text)))
        where = f" (in {', '.join(layers)})" if layers else ""
        return (
            f"{head}the format has no operator for {lacking[1].strip()}{where}. Replace it by "
            "Keras layers or keras.ops that TensorFlow Lite has."
        )
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{head}{lines[0] if lines else type(error).__name__}"
