"""Convert a Keras network to a `.tflite` file.

The way is `model.export` with a static batch of one, then TensorFlow's converter: it folds batch
normalization into the convolutions and, for int8, takes activation ranges (minimum and maximum)
from representative samples; kernels get one scale per output channel.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import lite

from utils.causes import essence
from utils.errors import InputError
from utils.export.channel_padding import with_identity_convolutions
from utils.export.config import KINDS
from utils.export.endpoints import output_names, with_names
from utils.export.errors import ExportError
from utils.export.exporters import EXPORTERS, Made, Source, load_function
from utils.export.flatbuffer import floored_ranges, read_graph
from utils.export.quiet import quiet_native
from utils.export.saved_model import input_specs, write_saved_model
from utils.export.targets import find_target
from utils.folders import passing_folder

#: Batches of inputs: arrays [batch, …], or a list, tuple or dict of them for several inputs.
Calibration = Iterable[Any]

# The converter leaves the gates' SPLIT of an unrolled LSTM in float every sixth time, by the order
# in which it happens to meet them (4 of 24 conversions of one network); there is a kernel for it.
_UNSTEADY, _NUM_TRIES = "SPLIT", 6

IO_FORMATS = {"int8": tf.int8, "uint8": tf.uint8, "float32": tf.float32}


def convert(
    model: keras.Model,
    kind: str,
    calibration: Calibration | None = None,
    *,
    io_format: str = "int8",
    target: str | None = None,
) -> bytes:
    """Convert a network to one kind of file, in this process.

    Equal networks and samples give equal bytes. Operators without an integer kernel stay in float
    inside an int8 file; `utils.export.flatbuffer.FileGraph.float_operators` names them. A network
    on which the converter crashes takes this process along; `utils.export.conversion` survives it.

    Args:
        model: a built Functional or Sequential model with fixed input shapes.
        kind: one of `utils.export.config.KINDS`.
        calibration: for a calibrated kind, batches of inputs (no labels) as the network sees them
            when it is used: training samples, preprocessed, not augmented.
        io_format: what an int8 file takes and gives: "int8", "uint8" or "float32".
        target: the device that an int8 file is for, of `utils.export.targets.NAMES`.

    Returns:
        The content of the file, for batch size one. Inputs and outputs are called as in the network
        (see `utils.export.endpoints`).

    Raises:
        InputError: for an unknown kind, a model without fixed input shapes, missing or unusable
            calibration samples.
        ExportError: if the converter has no way to express the network.
    """
    if kind not in KINDS:
        raise InputError(f"`kind` must be one of {', '.join(KINDS)}. Received: {kind!r}.")
    if io_format not in IO_FORMATS:
        raise InputError(
            f"`tflite_io` must be one of {', '.join(IO_FORMATS)}. Received: {io_format!r}."
        )
    row = EXPORTERS[kind]
    input_specs(model)
    samples = calibration_samples(model, calibration) if row.calibrated else []
    with passing_folder() as folder, quiet_converter():
        try:
            write_saved_model(model, folder, unroll=not row.loops)
            source = Source(
                saved_model=pathlib.Path(folder),
                samples=samples,
                io_format=io_format,
                target=target,
                outputs=output_names(model),
            )
            return make_file(kind, source).content
        except ExportError:
            raise
        except Exception as error:  # the converter raises whatever its passes raise
            raise ExportError(explain(model.name, kind, error)) from error


def make_file(kind: str, source: Source) -> Made:
    """Make a `.tflite` file whose inputs and outputs are called as the network's."""
    made: Made = load_function(EXPORTERS[kind].make)(source)
    return dataclasses.replace(made, content=with_names(made.content, source.outputs))


def float32_file(source: Source) -> Made:
    """Make a float file."""
    return Made(content=_converter(source).convert())


def dynamic_file(source: Source) -> Made:
    """Make a file with int8 weights that computes in float where no integer kernel is."""
    converter = _converter(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return Made(content=converter.convert())


def int8_file(source: Source) -> Made:
    """Make a file that computes in integers, with the ranges of samples or of fake quantization."""
    if source.ranges_inside:
        content = _int8_converter(source).convert()
        return _for_target(Made(content=content), source.target)
    for _ in range(_NUM_TRIES):
        with _floored() as dead:
            content = _int8_converter(source).convert()  # a converter converts once
        if _UNSTEADY not in read_graph(content).float_operators():
            break
    return _for_target(Made(content=content, notes=tuple(map(_dead_note, dead))), source.target)


def _int8_converter(source: Source) -> tf.lite.TFLiteConverter:
    converter = _converter(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = IO_FORMATS[source.io_format]
    converter.inference_output_type = IO_FORMATS[source.io_format]
    if not source.ranges_inside:  # TFLITE_BUILTINS_INT8 would ask for samples all the same
        converter.representative_dataset = lambda: iter(source.samples)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,  # what has no integer kernel stays in float
        ]
    return converter


def int16_file(source: Source) -> Made:
    """Make a file of integers with activations of 16 bits, symmetric, and weights of 8."""
    converter = _converter(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    integers = source.io_format != "float32"
    converter.inference_input_type = tf.int16 if integers else tf.float32
    converter.inference_output_type = converter.inference_input_type
    converter.representative_dataset = lambda: iter(source.samples)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,  # what has no integer kernel stays in float
    ]
    return Made(content=converter.convert())


def _for_target(made: Made, target: str | None) -> Made:
    """Put operators that cost a device less in the place of others."""
    if target is None or not find_target(target).identity_padding:
        return made
    content, names = with_identity_convolutions(made.content)
    if not names:
        return made
    note = (
        f"Zeros along channels ({', '.join(name.split(';')[0] for name in names)}) are 1x1 "
        f"convolutions with an identity, which {target} computes in fewer passes; the numbers are "
        "the same."
    )
    return Made(content=content, notes=(*made.notes, note))


def _converter(source: Source) -> tf.lite.TFLiteConverter:
    if source.saved_model is None:
        raise ValueError("`saved_model` is needed. Received: None.")
    return tf.lite.TFLiteConverter.from_saved_model(str(source.saved_model))


@contextlib.contextmanager
def _floored() -> Iterator[list[str]]:
    """Put `floored_ranges` between calibration and quantization; the converter has no door there.

    Yields:
        A list that fills with the names of the tensors that were changed.
    """
    names: list[str] = []
    quantize = lite._mlir_quantize

    def floored(calibrated: bytes, *args: Any, **kwargs: Any) -> bytes:
        content, dead = floored_ranges(calibrated)
        names.extend(dead)
        return quantize(content, *args, **kwargs)

    lite._mlir_quantize = floored
    try:
        yield names
    finally:
        lite._mlir_quantize = quantize


def _dead_note(tensor: str) -> str:
    return (
        f"{tensor.split(';')[0]} was zero on every calibration sample; its range in the int8 file "
        "is a small part of the others'."
    )


def calibration_samples(
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
def quiet_converter() -> Iterator[None]:
    """Hold back the logs of TensorFlow's Python and C++ sides during a conversion."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet_native():
            yield
    finally:
        logger.setLevel(level)


def explain(name: str, kind: str, error: Exception) -> str:
    """Say why a network could not be converted.

    Args:
        name: the network's.
        kind: of the file.
        error: what a layer, the converter or the interpreter raised.

    Returns:
        The operators that the file format lacks, else the line that tells what happened.
    """
    text = str(error)
    if isinstance(error, ExportError):  # says it already
        return text
    head = f"{name!r} cannot be converted to a file of the kind {kind}: "
    lacking = re.search(r"(?:TF Select|Flex|Custom) ops: ([\w, ]+)", text)
    if lacking:
        layers = sorted(set(re.findall(r'"([\w/.]+)@__inference', text)))
        where = f" (in {', '.join(layers)})" if layers else ""
        return (
            f"{head}the format has no operator for {lacking[1].strip()}{where}. Replace it by "
            "Keras layers or keras.ops that TensorFlow Lite has."
        )
    return f"{head}{essence(error)}"
