"""Latency of networks, measured in turns.

A machine that grows warm or gets other work slows down whatever runs at that moment. So several
networks are called in turns (A B A B …): drifts hit all alike, and the ratio of two is worth more
than either time. TensorFlow is imported only by the functions that need it.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.errors import InputError
from utils.files import NETWORK_ENDINGS, load_keras_model
from utils.intervals import Interval, median_interval

if TYPE_CHECKING:
    import keras

#: Parts that the timed calls are split into where two are compared: enough for a 95 % interval.
BLOCKS = 10

#: A difference that is smaller is called none, however steady it is.
NOISE = 0.03


@dataclasses.dataclass(frozen=True)
class LatencyStats:
    """Times of one network's calls, in milliseconds.

    Attributes:
        p50: median of all calls.
        p95: 95th percentile of all calls.
        mean: mean of all calls.
        n: timed calls.
        block_p50: median of each block of calls; its spread tells how steady the machine was.
    """

    p50: float
    p95: float
    mean: float
    n: int
    block_p50: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class LatencyRatio:
    """Time of one network over that of another; below 1 is faster.

    Attributes:
        median: median over the blocks of the ratio of both medians in that block.
        lowest: smallest ratio of a block.
        highest: largest ratio of a block.
        interval: 95 % interval of the median (see `utils.intervals.median_interval`).
    """

    median: float
    lowest: float
    highest: float
    interval: Interval

    @property
    def is_clear(self) -> bool:
        """Whether one is faster: by more than the blocks differ, and by more than `NOISE`."""
        return 1.0 not in self.interval and abs(self.median - 1.0) > NOISE


def measure(
    runners: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 100,
    warmup: int = 100,
    blocks: int = 5,
) -> dict[str, LatencyStats]:
    """Time functions in turns.

    Args:
        runners: functions by name; one call is one inference.
        repeats: timed calls of each.
        warmup: calls of each before that, also in turns.
        blocks: parts that the calls are split into for the spread; at most `repeats` are used. Six
            or more make a 95 % interval of a ratio possible.

    Returns:
        The times of each, by name.

    Raises:
        ValueError: if `repeats` or `blocks` is below 1, or `warmup` is negative.
    """
    _check_counts(repeats, warmup, blocks)
    times = _timed(runners, repeats, warmup)
    parts = min(blocks, repeats)
    return {name: _stats(np.array_split(values, parts)) for name, values in times.items()}


def measure_anew(
    openers: Mapping[str, Callable[[], Callable[[], Any]]],
    *,
    repeats: int = 100,
    warmup: int = 100,
    blocks: int = BLOCKS,
) -> dict[str, LatencyStats]:
    """Time functions in turns, each block of calls with functions that were made for it.

    Where a network's memory lies makes it faster or slower by some percent as long as it is loaded.
    Loaded anew for every block, that is part of the blocks' spread, like all other noise.

    Args:
        openers: by name, what makes the function; one call of that is one inference.
        repeats: timed calls of each, over all blocks.
        warmup: calls of each before that, over all blocks.
        blocks: at most `repeats` are used.

    Returns:
        The times of each, by name.

    Raises:
        ValueError: see `measure`.
    """
    _check_counts(repeats, warmup, blocks)
    found: dict[str, list[np.ndarray]] = {name: [] for name in openers}
    parts = min(blocks, repeats)
    for index in range(parts):
        runners = {name: make() for name, make in openers.items()}
        share = [
            count * (index + 1) // parts - count * index // parts for count in (repeats, warmup)
        ]
        for name, values in _timed(runners, share[0], share[1]).items():
            found[name].append(values)
    return {name: _stats(listed) for name, listed in found.items()}


def _check_counts(repeats: int, warmup: int, blocks: int) -> None:
    if repeats < 1 or blocks < 1 or warmup < 0:
        raise ValueError(
            "`repeats` and `blocks` must be >= 1 and `warmup` >= 0. Received: "
            f"repeats={repeats}, blocks={blocks}, warmup={warmup}."
        )


def _timed(
    runners: Mapping[str, Callable[[], Any]], repeats: int, warmup: int
) -> dict[str, np.ndarray]:
    """Call functions in turns and give the milliseconds of each call, by name."""
    for _ in range(warmup):
        for run in runners.values():
            run()
    times = {name: np.empty(repeats) for name in runners}
    collecting = gc.isenabled()
    gc.disable()  # a collection would fall on whoever runs at that moment
    try:
        for index in range(repeats):
            for name, run in runners.items():
                start = time.perf_counter_ns()
                run()
                times[name][index] = time.perf_counter_ns() - start
    finally:
        if collecting:
            gc.enable()
    return {name: values / 1e6 for name, values in times.items()}


def ratio(stats: LatencyStats, baseline: LatencyStats) -> LatencyRatio:
    """Compare two networks that were measured in the same turns.

    Args:
        stats: of the network in question.
        baseline: of the one to compare with.

    Returns:
        The ratio of their times per block, summed up.

    Example:
        >>> fast = LatencyStats(p50=1, p95=1, mean=1, n=3, block_p50=(1.0, 1.0, 3.0))
        >>> slow = LatencyStats(p50=2, p95=2, mean=2, n=3, block_p50=(2.0, 4.0, 4.0))
        >>> found = ratio(fast, slow)
        >>> found.median, found.lowest, found.highest, found.is_clear
        (0.5, 0.25, 0.75, True)
    """
    ratios = [one / other for one, other in zip(stats.block_p50, baseline.block_p50, strict=True)]
    return LatencyRatio(float(np.median(ratios)), min(ratios), max(ratios), median_interval(ratios))


def file_call(
    path: str | os.PathLike[str],
    *,
    batch_size: int = 1,
    num_threads: int = 1,
    allow_unsafe: bool = False,
) -> Callable[[], Any]:
    """Make the function to time for a `.keras`, `.h5` or `.tflite` file, on random inputs.

    Args:
        path: the file.
        batch_size: samples per call.
        num_threads: threads of the `.tflite` interpreter; for Keras' files see `limit_threads`.
        allow_unsafe: also load Python code (Lambda layers).

    Returns:
        A function that runs the network once.

    Raises:
        InputError: for another ending, or a file that cannot be read or run.
    """
    ending = pathlib.Path(path).suffix
    if ending in NETWORK_ENDINGS:
        return keras_call(load_keras_model(path, allow_unsafe), batch_size=batch_size)
    if ending != ".tflite":
        raise InputError(
            f"latency is measured of .keras, .h5 and .tflite files. Received: {os.fspath(path)!r}."
        )
    from utils.export.runner import timed_call

    return timed_call(path, num_threads=num_threads, batch_size=batch_size)


def keras_call(model: keras.Model, *, batch_size: int = 1) -> Callable[[], Any]:
    """Make the function to time for a Keras model: one compiled graph, on random inputs.

    Args:
        model: a built model with fixed input shapes.
        batch_size: samples per call.

    Returns:
        A function that runs the model once.

    Raises:
        InputError: if the inputs or their shapes are not known.
    """
    import keras
    import tensorflow as tf

    from utils.export.saved_model import input_specs
    from utils.traced import traced

    inputs = keras.tree.map_structure(
        lambda spec: tf.cast(_random(spec.shape), spec.dtype), input_specs(model, batch_size)
    )
    compiled = traced(lambda values: model(values, training=False))
    concrete = compiled.get_concrete_function(inputs)
    return lambda: concrete(inputs)


def limit_threads(num_threads: int) -> int:
    """Limit the threads that Keras models compute with.

    TensorFlow settles this when it first computes; later the number cannot change any more.

    Args:
        num_threads: threads that one operation may use.

    Returns:
        The number in force: `num_threads`, or what TensorFlow was started with.
    """
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(num_threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
    return num_threads


def _random(shape: tuple[int, ...]) -> np.ndarray:
    """Draw values in [0, 1): as integers they are zeros, valid wherever an index is meant."""
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def _stats(parts: Sequence[np.ndarray]) -> LatencyStats:
    times = np.concatenate(parts)
    return LatencyStats(
        p50=float(np.median(times)),
        p95=float(np.percentile(times, 95)),
        mean=float(np.mean(times)),
        n=len(times),
        block_p50=tuple(float(np.median(part)) for part in parts),
    )
