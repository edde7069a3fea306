"""A float `.tflite` file that leaves out the zeros of its kernels.

The format stores a sparse kernel as its values and their places, one or two bytes each, so that it
pays from about 30 % zeros on. The interpreter either unpacks it when the
file is loaded and computes as ever, or, for 1 x 4 blocks along the inputs of a Dense layer, uses a
sparse kernel. Integer files are not written so: some do not run, and one was seen to compute
something else.
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from utils.export.errors import ExportError
from utils.export.exporters import Made, Source
from utils.export.runner import TFLiteRunner
from utils.export.tflite import float32_file

#: Largest difference from the normal file, over the root mean square of its outputs: sums in
#: another order. Most files are equal to the last bit.
MAX_ERROR = 1e-5
_NUM_SAMPLES = 16
_LEAST_GAIN = 0.01  # a file that is smaller by less is not worth a second one


def sparse_file(source: Source) -> Made:
    """Make a file without zeros, and run it beside the normal one.

    Args:
        source: see there.

    Returns:
        The file.

    Raises:
        ExportError: if it is not smaller than the normal file, does not run, or computes something
            else.
    """
    if source.ranges_inside:
        raise ExportError("sparse kernels are stored in float, and this network is quantized")
    normal = float32_file(source).content
    converter = tf.lite.TFLiteConverter.from_saved_model(str(source.saved_model))
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    content: bytes = converter.convert()
    require_smaller(content, normal)
    require_equal(content, normal)
    return Made(content=content)


def require_smaller(content: bytes, normal: bytes) -> None:
    """Refuse a file that gains nothing.

    Raises:
        ExportError: says how large both are.
    """
    if len(content) > (1 - _LEAST_GAIN) * len(normal):
        raise ExportError(
            f"it would take {len(content):,} bytes, without leaving out zeros {len(normal):,}: no "
            "kernel has zeros enough"
        )


def require_equal(content: bytes, normal: bytes) -> None:
    """Refuse a file that computes something else than the normal one of the same network.

    Both run on the same random inputs, with one thread and with all.

    Raises:
        ExportError: says how far apart they are.
        InputError: if one does not run.
    """
    for num_threads in {1, os.cpu_count() or 1}:
        runners = [TFLiteRunner(each, num_threads) for each in (normal, content)]
        inputs = _inputs(runners[0])
        wanted, found = (_outputs(runner(inputs)) for runner in runners)
        for expected, output in zip(wanted, found, strict=True):
            error = _error(output, expected)
            if not error <= MAX_ERROR:  # written so that NaN is refused
                raise ExportError(
                    f"it computes something else than the normal file: its outputs differ by "
                    f"{error:.2g} of their size"
                )


def _inputs(runner: TFLiteRunner) -> dict[str, np.ndarray]:
    """Draw inputs in [0, 1), which as integers are zeros: valid wherever an index is meant."""
    generator = np.random.default_rng(0)
    shapes = runner.input_shapes.items()
    return {n: generator.random((_NUM_SAMPLES, *shape[1:]), np.float32) for n, shape in shapes}


def _outputs(outputs: np.ndarray | list[np.ndarray]) -> list[np.ndarray]:
    return outputs if isinstance(outputs, list) else [outputs]


def _error(output: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference over that of what is expected."""
    if np.array_equal(output, expected, equal_nan=True):
        return 0.0
    difference = output.astype(np.float64) - expected
    scale = np.sqrt(np.mean(np.square(expected, dtype=np.float64)))
    return float(np.sqrt(np.mean(np.square(difference))) / scale) if scale else np.inf
