"""Whether a converted network computes what the one it comes from does."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.files import load_npz
from utils.frontends.convert import Converted
from utils.frontends.layout import to_built, to_source
from utils.frontends.running import Run

TOLERANCE = 1e-4
"""Largest accepted distance of a conversion."""

_MAX_BYTES = 4 << 30


def distance(made: np.ndarray, wanted: np.ndarray) -> float:
    """Compare two arrays: the largest difference over the largest of the wanted values.

    Returns:
        The quotient; infinite where shapes differ or values are not numbers in one of them only.

    Example:
        >>> distance(np.array([1.0, 2.1]), np.array([1.0, 2.0])) < 0.051
        True
        >>> distance(np.ones(2), np.ones(3))
        inf
    """
    if made.shape != wanted.shape or not np.array_equal(np.isfinite(made), np.isfinite(wanted)):
        return math.inf
    if not made.size:
        return 0.0
    known = np.isfinite(wanted)
    gap = np.max(np.abs(made.astype(np.float64) - wanted)[known], initial=0.0)
    size = np.max(np.abs(wanted.astype(np.float64))[known], initial=0.0)
    return float(gap / size) if size else float(gap)


def random_inputs(converted: Converted, seed: int) -> dict[str, np.ndarray]:
    """Draw one sample for every input, in the source's order of axes.

    Args:
        converted: the network.
        seed: of the draw.

    Raises:
        InputError: if a size beside the batch is open.
    """
    generator = np.random.default_rng(seed)
    found = {}
    for tensor, (name, order) in zip(
        converted.model.inputs, converted.input_orders.items(), strict=True
    ):
        sizes = to_source_shape(tensor.shape, order)
        batch = 0 if sizes and sizes[0] is None else 1  # a recurrent state is [2, batch, units]
        shape: list[Any] = [
            1 if sizes[axis] is None and axis == batch else sizes[axis] for axis in order
        ]
        if None in shape:
            raise InputError(
                f"the input {name!r} has the open size {tuple(tensor.shape)}: give --input_shape, "
                "or --input_npy and --result_npy, to compare the networks on."
            )
        if "int" in tensor.dtype or tensor.dtype == "bool":
            array = generator.integers(0, 2, shape).astype(tensor.dtype)
        else:
            array = generator.normal(size=shape).astype(tensor.dtype)
        found[name] = to_source(array, order)
    return found


def to_source_shape(shape: Sequence[int | None], order: Sequence[int]) -> list[int | None]:
    """Put a tensor's sizes into the source's order of axes.

    Example:
        >>> to_source_shape((None, 8, 9, 3), (0, 2, 3, 1))
        [None, 3, 8, 9]
    """
    return [shape[list(order).index(axis)] for axis in range(len(order))]


def outputs(converted: Converted, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a converted network.

    Args:
        converted: the network.
        inputs: by the source's names, in its order of axes.

    Returns:
        Outputs, likewise.
    """
    return run_model(converted.model, converted, inputs)


def run_model(
    model: Any, converted: Converted, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Run a Keras model in the place of a converted one, see `outputs`."""
    arrays = [to_built(inputs[name], order) for name, order in converted.input_orders.items()]
    made = model(arrays if len(arrays) > 1 else arrays[0], training=False)
    flat = made if isinstance(made, (list, tuple)) else [made]
    orders = converted.output_orders.items()
    return {
        name: to_source(np.asarray(tensor), order)
        for (name, order), tensor in zip(orders, flat, strict=True)
    }


def worst(made: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    """Give the largest distance of all outputs; outputs are found by name, else by place.

    Raises:
        InputError: if there are more or fewer of them.
    """
    if len(made) != len(wanted):
        raise InputError(f"{len(wanted)} results are given; the network has {len(made)} outputs.")
    pairs = (
        [(made[name], wanted[name]) for name in made]
        if set(made) == set(wanted)
        else list(zip(made.values(), wanted.values(), strict=True))
    )
    return max(distance(ours, theirs) for ours, theirs in pairs)


def against_source(converted: Converted, run: Run, seed: int) -> float:
    """Compare with the source framework on random inputs."""
    inputs = random_inputs(converted, seed)
    return worst(outputs(converted, inputs), run(inputs))


def read_arrays(flag: str, text: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the arrays that a flag names.

    Args:
        flag: its name, for messages.
        text: a `.npy` file, several separated by commas in the network's order, or a `.npz` file
            by name.
        names: of the network's inputs or outputs.

    Returns:
        Arrays by those names.

    Raises:
        InputError: if a file is missing, damaged or too large, or there are more or fewer.
    """
    paths = [pathlib.Path(part.strip()) for part in text.split(",")]
    for path in paths:
        if not path.is_file():
            raise InputError(f"`{flag}`: there is no file {str(path)!r}.")
    if len(paths) == 1 and paths[0].suffix == ".npz":
        arrays = load_npz(paths[0])
        if set(arrays) == set(names):
            return {name: arrays[name] for name in names}
        found = list(arrays.values())
    else:
        found = [_read_npy(flag, path) for path in paths]
    if len(found) != len(names):
        raise InputError(
            f"`{flag}` gives {len(found)} arrays; the network has {len(names)}: {', '.join(names)}."
        )
    return dict(zip(names, found, strict=True))


def _read_npy(flag: str, path: pathlib.Path) -> np.ndarray:
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # nothing is read yet
        if not isinstance(mapped, np.ndarray) or mapped.nbytes > _MAX_BYTES:
            raise ValueError("it is no array, or too large")
        return np.array(mapped)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"`{flag}`: {path} is no .npy file that can be read ({error}).") from error
