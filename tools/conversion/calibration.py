"""Inputs from a `.npy` or `.npz` file, for calibration and comparison."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import InputError
from utils.files import load_npz

if TYPE_CHECKING:
    import keras

_RANDOM_SAMPLES = 16


def read_calibration(
    path: str | None, model: keras.Model, num_samples: int
) -> dict[str, np.ndarray]:
    """Read the first samples for every input of a model.

    Args:
        path: a `.npy` file for a model with one input, or a `.npz` file with an array per input
            name (any name for the only input); None draws a few normal random samples, which can
            compare a file with its model but not calibrate it.
        model: a built model.
        num_samples: samples to take at most.

    Returns:
        Arrays [samples, ...] by input name.

    Raises:
        InputError: if the file cannot be read or lacks an input.
    """
    names = [tensor.name for tensor in model.inputs]
    if path is None:
        generator = np.random.default_rng(0)
        return {
            tensor.name: generator.normal(
                size=(_RANDOM_SAMPLES, *(size or 1 for size in tensor.shape[1:]))
            ).astype(tensor.dtype)
            for tensor in model.inputs
        }
    arrays = _read_arrays(path)
    if len(arrays) == len(names) == 1:
        arrays = dict(zip(names, arrays.values(), strict=True))
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(
            f"{path} lacks an array named {missing[0]!r}. The model takes {names}; the file holds "
            f"{sorted(arrays)}."
        )
    samples = {name: np.asarray(arrays[name][:num_samples]) for name in names}
    counts = {name: len(values) for name, values in samples.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputError(
            f"{path} must hold equally many samples for every input, at least one. "
            f"Received: {counts}."
        )
    return samples


def _read_arrays(path: str) -> Mapping[str, np.ndarray]:
    ending = pathlib.Path(path).suffix
    if ending == ".npz":
        arrays = load_npz(path)
    elif ending == ".npy":
        try:
            # Mapped, not read: a header that promises more than the file holds is refused.
            arrays = {"inputs": np.load(path, mmap_mode="r", allow_pickle=False)}
        except Exception as error:  # a damaged header raises whatever Python's parser raises
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"cannot read the calibration samples: {path}: {reason}") from error
    else:
        raise InputError(f"`calibration_file` must be a .npy or .npz file. Received: {path!r}.")
    for name, values in arrays.items():
        if values.ndim < 1 or values.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: the array {name!r} must hold numbers [samples, ...]. Received: shape "
                f"{values.shape}, {values.dtype}."
            )
    return arrays
