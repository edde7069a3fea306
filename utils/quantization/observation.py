"""Running samples through a network and keeping statistics of its tensors."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.graph import Graph, Ref, to_keras_with_tensors
from utils.graph.ir import num_elements
from utils.quantization.calibration import Statistics
from utils.traced import traced

MAX_BYTES = 256 * 2**20  # of the tensors that a batch's histograms are taken from


def observe(
    graph: Graph,
    refs: Sequence[Ref],
    batches: Iterable[Any],
    *,
    with_histogram: bool = True,
    by_channel: Container[Ref] = (),
) -> dict[Ref, Statistics]:
    """Run samples and look at tensors.

    Args:
        graph: the network, as in inference.
        refs: the tensors.
        batches: inputs, as the network takes them: arrays [n, …], or lists or dicts of them.
        with_histogram: see `Statistics`; without, a tensor never leaves the network, which is
            faster.
        by_channel: tensors that are looked at by their last axis.

    Returns:
        The statistics of each tensor.

    Raises:
        InputError: if there are no samples, they do not fit the network, or a tensor has NaN or
            infinite values.
    """
    if not refs:
        return {}
    model, tensors = to_keras_with_tensors(graph)
    part = keras.Model(model.inputs, [tensors[ref] for ref in refs])
    found = {
        ref: Statistics(
            graph.shape(ref)[-1] or 1 if ref in by_channel else 1, with_histogram=with_histogram
        )
        for ref in refs
    }
    sizes = [4 * num_elements(graph.shape(ref)) for ref in refs]
    limit = max(1, MAX_BYTES // max(sum(sizes), 1)) if with_histogram else None
    run = _run_whole(part) if with_histogram else _run_summed(part, list(found.values()))
    num_samples = 0
    for batch in batches:
        for piece in pieces(checked_inputs(model, batch), limit):
            num_samples += len(piece[0])
            for (ref, statistics), values in zip(found.items(), run(piece), strict=True):
                _add(statistics, values, ref)
    if not num_samples:
        raise InputError("calibration needs samples. Received: none.")
    return found


def checked_inputs(model: keras.Model, batch: Any) -> list[np.ndarray]:
    """Order a batch as a model's inputs are, and check it.

    Args:
        model: the network.
        batch: an array, or a list or dict of them, one per input.

    Returns:
        The arrays, in the inputs' dtypes.

    Raises:
        InputError: for missing inputs, a wrong shape or dtype, NaN or infinity.
    """
    names = [tensor.name for tensor in model.inputs]
    if isinstance(batch, Mapping):
        if set(batch) != set(names):
            raise InputError(
                f"calibration samples must hold the inputs {names}. Received: {sorted(batch)}."
            )
        listed = [batch[name] for name in names]
    else:
        listed = list(batch) if isinstance(batch, list | tuple) else [batch]
    if len(listed) != len(names):
        raise InputError(
            f"calibration samples must be one array for each of the inputs {names}. Received: "
            f"{len(listed)} arrays."
        )
    return [_checked(each, tensor) for each, tensor in zip(listed, model.inputs, strict=True)]


def _checked(values: Any, tensor: Any) -> np.ndarray:
    array = np.asarray(values)
    wanted = tuple(tensor.shape[1:])
    fits = array.ndim == len(wanted) + 1 and all(
        size in (None, got) for size, got in zip(wanted, array.shape[1:], strict=True)
    )
    if not fits:
        raise InputError(
            f"calibration samples for the input {tensor.name!r} must have the shape (n, "
            f"{', '.join(map(str, wanted))}). Received: {array.shape}."
        )
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"calibration samples for the input {tensor.name!r} must be numbers. Received: "
            f"{array.dtype}."
        )
    if not np.isfinite(array).all():
        raise InputError(
            f"calibration samples for the input {tensor.name!r} contain NaN or infinity. Check "
            "how they were made."
        )
    found = array.astype(tensor.dtype)
    if found.dtype.kind in "iub" and not np.array_equal(found, array):
        raise InputError(
            f"calibration samples for the input {tensor.name!r} must be whole numbers that its "
            f"dtype {tensor.dtype} holds. Received: {array.dtype} in [{array.min():g}, "
            f"{array.max():g}]."
        )
    return found


def pieces(arrays: list[np.ndarray], limit: int | None) -> Iterator[list[np.ndarray]]:
    """Cut a batch into parts of at most `limit` samples; None leaves it whole."""
    count = len(arrays[0])
    step = count if limit is None else limit
    for start in range(0, count, max(step, 1)):
        yield [array[start : start + step] for array in arrays]


def _run_whole(part: keras.Model) -> Any:
    @traced
    def run(inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        return list(keras.tree.flatten(part(inputs, training=False)))

    return lambda piece: [value.numpy() for value in run([tf.constant(a) for a in piece])]


def _run_summed(part: keras.Model, statistics: Sequence[Statistics]) -> Any:
    """Give (least, greatest, sums, count) of each tensor instead of the tensor."""

    @traced
    def run(inputs: list[tf.Tensor]) -> list[tuple[tf.Tensor, ...]]:
        found = []
        for each, values in zip(
            statistics, keras.tree.flatten(part(inputs, training=False)), strict=True
        ):
            columns = tf.reshape(tf.cast(values, tf.float32), [-1, len(each.least)])
            found.append(
                (
                    tf.reduce_min(columns, axis=0),
                    tf.reduce_max(columns, axis=0),
                    tf.reduce_mean(columns, axis=0),
                    tf.shape(columns)[0],
                )
            )
        return found

    return lambda piece: run([tf.constant(a) for a in piece])


def _add(statistics: Statistics, values: Any, ref: Ref) -> None:
    try:
        if statistics.histogram is not None:
            statistics.add(np.asarray(values, np.float32))
            return
        least, greatest, mean, count = (np.asarray(each) for each in values)
        statistics.add_summary(least, greatest, mean.astype(np.float64) * int(count), int(count))
    except ValueError as error:
        raise InputError(
            f"the output of {ref.node!r} has NaN or infinite values on the calibration samples. "
            "Check the network's weights and how the samples are made."
        ) from error
