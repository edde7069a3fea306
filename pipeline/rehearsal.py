"""The rehearsal: what could fail at the end of a run, tried at its start, in seconds.

A batch of each split goes through network and loss, the network takes a few training steps, which
are undone, and its files are made, and those of a trial of what the learner will leave. What goes
wrong is traced to its cause where the batch shows it: inputs that are
not finite or far too large, another shape, labels of another form or outside the classes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nets.abstract_model_helper import AbstractModelHelper
from utils.causes import explanation
from utils.command import notes
from utils.errors import InputError
from utils.export.config import ConvertConfig, ExportConfig
from utils.export.conversion import Conversion, Exported, convert_all
from utils.export.exporters import EXPORTERS
from utils.export.targets_fit import require_run
from utils.graph.keras_reading import functional_model
from utils.training import Evaluator
from utils.training.state import read_variables

NUM_STEPS = 3  # of training that are tried
NUM_SAMPLES = 8  # that files are calibrated with here
LARGE = 16.0  # networks are trained on inputs of the order of 1
_BUILDERS = ("build_dataset_train", "build_dataset_eval")


def try_batches(helper: AbstractModelHelper, model: keras.Model) -> None:
    """Run a batch of the training and of the test data through network and loss.

    Args:
        helper: gives the data and the loss.
        model: the network.

    Raises:
        InputError: if there is no batch, anything fails on it, or the loss is not finite.
    """
    evaluator = Evaluator(model, helper)
    for builder in _BUILDERS:
        where = f"{type(helper).__name__}.{builder}"
        dataset = getattr(helper, builder)().take(1)
        try:
            scores = evaluator(dataset)
        except InputError:
            raise
        except Exception as error:  # whatever the user's code raises
            cause = _cause_in(dataset, model)
            raise InputError(
                f"A batch of {where} in network and calc_loss failed: {explanation(error)}. "
                f"{cause or ''}".rstrip()
            ) from error
        if not math.isfinite(scores["loss"]):
            cause = _cause_in(dataset, model)
            raise InputError(
                f"the loss of the network {model.name!r} on the first batch of {where} is "
                f"{scores['loss']}. {cause or 'Give a network with finite weights.'}"
            )


def try_training(helper: AbstractModelHelper, model: keras.Model, lrn_rate: float) -> None:
    """Take a few training steps and undo them.

    Args:
        helper: gives the data, the loss and the optimizer.
        model: the network; in the end it is as it was.
        lrn_rate: the highest rate of the run's training.

    Raises:
        InputError: if the loss does not stay finite.
    """
    before = read_variables(model.variables)
    try:
        _train(helper, model, lrn_rate)
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)


def _train(helper: AbstractModelHelper, model: keras.Model, lrn_rate: float) -> None:
    optimizer, variables = helper.build_optimizer(lrn_rate), model.trainable_variables
    training: Any = helper.build_dataset_train()
    dataset = training.take(NUM_STEPS)
    for step, (inputs, labels) in enumerate(_pairs(dataset), start=1):
        with tf.GradientTape() as tape:
            loss, _ = helper.calc_loss(labels, model(inputs, training=True), variables)
        if not math.isfinite(float(loss)):
            cause = _cause_in(dataset, model) or (
                f"The learning rate {lrn_rate:g} may be too high: try {lrn_rate / 10:g}."
            )
            raise InputError(
                f"training diverges: the loss is {float(loss)} before step {step}. {cause}"
            )
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        known = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        if known:
            optimizer.apply_gradients(known)


def try_files(
    helper: AbstractModelHelper,
    networks: Mapping[str, keras.Model],
    config: ExportConfig,
) -> None:
    """Make every kind of file that the run will end with; they are not kept.

    Args:
        helper: gives calibration samples; a few are enough here.
        networks: by name: the one at hand, a trial of what the learner will leave.
        config: the kinds.

    Raises:
        InputError: if one cannot be made, not be run, or not be computed on the target.
    """
    kinds = config.kinds()
    if not kinds:
        return
    samples: Any = helper.build_dataset_calibration(NUM_SAMPLES)
    inputs = [batch[0] if isinstance(batch, tuple) else batch for batch in samples]
    exported = [
        Exported(name=name, model=model, is_result=False) for name, model in networks.items()
    ]
    # The learner makes the first; without the others a run goes on.
    needless = [kind for kind in kinds if EXPORTERS[kind].deployed or EXPORTERS[kind].optional]
    found = convert_all(
        exported, [kind for kind in kinds if kind not in needless], config.convert, inputs
    )
    failed = {kind: result.failed for (_, kind), result in found.items() if result.failed}
    if failed:
        kind, reason = next(iter(failed.items()))
        others = ",".join(kind for kind in kinds if kind not in failed) or "none"
        raise InputError(
            f"the {kind} file of this network could not be made after training either: "
            f"{reason.rstrip('. ')}. Leave it out: --tflite={others}."
        )
    _try_target(found, config.convert)


def _try_target(found: Mapping[tuple[str, str], Conversion], config: ConvertConfig) -> None:
    """Hold the files of integers against the device, and run or compile them for it."""
    if config.target is None:
        return
    for (_, kind), made in found.items():
        if EXPORTERS[kind].on_device and made.content is not None:
            let = require_run(made.content, config.target, allow_float=config.allow_float)
            for each in let:
                notes.print(f"note: {each}", markup=False)


def _pairs(dataset: tf.data.Dataset) -> Iterator[tuple[Any, Any]]:
    """Give inputs and labels; what follows them (weights) does not matter here."""
    for element in dataset:
        yield element[0], element[1]


def _cause_in(dataset: tf.data.Dataset, model: keras.Model) -> str | None:
    """Look at the first batch for what commonly goes wrong."""
    try:
        inputs, labels = next(_pairs(dataset))
    except Exception:  # the data themselves fail: nothing to look at
        return None
    return diagnosis(inputs, labels, model)


def diagnosis(inputs: Any, labels: Any, model: keras.Model) -> str | None:
    """Find what is wrong with a batch.

    Args:
        inputs: tensor, or a structure of them, [batch, ...].
        labels: tensor [batch, ...]; other structures are not looked at.
        model: the network that it is for.

    Returns:
        A sentence with what to do; None where the batch looks as it should.
    """
    arrays = [np.asarray(array) for array in keras.tree.flatten(inputs)]
    functional = functional_model(model)
    wanted = [tuple(tensor.shape) for tensor in keras.tree.flatten(functional.input)]
    return (
        _wrong_shape([array.shape for array in arrays], wanted)
        or _wrong_values(arrays)
        or _wrong_labels(labels, functional)
        or _large_values(arrays)
    )


def _wrong_shape(
    received: Sequence[tuple[int, ...]], wanted: Sequence[tuple[int | None, ...]]
) -> str | None:
    if len(received) != len(wanted):
        return f"The network has {len(wanted)} inputs, the data give {len(received)}."
    for shape, sizes in zip(received, wanted, strict=True):
        if _fits(shape[1:], sizes[1:]):
            continue
        text = f"The data give inputs {shape[1:]}, the network wants {sizes[1:]}"
        if _fits(shape, sizes[1:]):
            return f"{text}: the data are not in a batch. Add .batch(128) to the data set."
        if len(shape) == len(sizes) == 4 and _fits((*shape[2:], shape[1]), sizes[1:]):
            return (
                f"{text}: the channels come first in the data. Move them to the end: "
                "tf.transpose(images, (0, 2, 3, 1))."
            )
        return f"{text}. Resize or reshape them in the data set, or build the network for them."
    return None


def _fits(shape: Sequence[int], sizes: Sequence[int | None]) -> bool:
    return len(shape) == len(sizes) and all(
        size is None or size == own for own, size in zip(shape, sizes, strict=True)
    )


def _wrong_values(arrays: Sequence[np.ndarray]) -> str | None:
    for array in arrays:
        if array.dtype.kind != "f":
            continue
        bad = ~np.isfinite(array.astype(np.float32)).reshape(len(array), -1).all(axis=1)
        if bad.any():
            return (
                f"{int(bad.sum())} of {len(array)} inputs of the batch hold NaN or infinite "
                f"values, number {int(np.argmax(bad))} the first. Give finite images."
            )
    return None


def _wrong_labels(labels: Any, functional: keras.Model) -> str | None:
    """Look at labels of a network that gives a score for each class."""
    outputs = keras.tree.flatten(functional.output)
    if len(outputs) != 1 or not hasattr(labels, "shape") or outputs[0].shape[-1] is None:
        return None
    values, num_classes, rank = np.asarray(labels), int(outputs[0].shape[-1]), len(outputs[0].shape)
    if num_classes < 2:
        return None
    if (
        values.dtype.kind in "iu"
        and values.ndim in (rank - 1, rank)
        and values.shape[1:] != (tuple(outputs[0].shape[1:]))
    ):
        if values.size and (values.min() < 0 or values.max() >= num_classes):
            return (
                f"The labels of the batch lie in {values.min()}..{values.max()}, the network has "
                f"{num_classes} classes: 0..{num_classes - 1}. Number the classes from 0, or build "
                "the network with more outputs."
            )
        return None
    if values.ndim == rank and values.shape[-1] not in (1, num_classes):
        return (
            f"The labels have {values.shape[-1]} places, the network {num_classes} outputs. Give "
            "one-hot labels of the same number of classes, or class numbers."
        )
    return None


def _large_values(arrays: Sequence[np.ndarray]) -> str | None:
    for array in arrays:
        values = array.astype(np.float32)
        if values.size and array.ndim > 2 and np.abs(values).max() > LARGE:
            return (
                f"The inputs lie in {values.min():g}..{values.max():g}, networks are trained on "
                "values of the order of 1. Divide them by 255 in the data set, or begin the "
                "network with keras.layers.Rescaling(1 / 255)."
            )
    return None
