"""Whether a converted network computes what the one it comes from does."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.errors import InputError
from utils.files import load_npz
from utils.frontends.convert import Converted
from utils.frontends.layout import to_built, to_source
from utils.frontends.running import Run, whole_float32

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4
"""Largest accepted distance of a conversion."""

_MAX_BYTES = 4 << 30


def distance(made: np.ndarray, wanted: np.ndarray) -> float:
    """Compare two arrays: the largest difference over the largest of the wanted values.

    Returns:
        The quotient; infinite where shapes differ, where other values are infinite or no numbers,
        or where all of them are, so that there is nothing to compare.

    Example:
        >>> distance(np.array([1.0, 2.1]), np.array([1.0, 2.0])) < 0.051
        True
        >>> distance(np.ones(2), np.ones(3))
        inf
    """
    if made.shape != wanted.shape:
        return math.inf
    if not made.size:
        return 0.0
    known = np.isfinite(wanted)
    same_others = np.array_equal(made[~known], wanted[~known], equal_nan=True)
    if not same_others or not known.any() or not np.isfinite(made[known]).all():
        return math.inf
    expected = wanted[known].astype(np.float64)
    gap, size = np.max(np.abs(made[known] - expected)), np.max(np.abs(expected))
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
                "so that the networks can be compared."
            )
        if "int" in tensor.dtype or tensor.dtype == "bool":
            limit = 2 if tensor.dtype == "bool" else integer_limit(_vocabularies(converted.model))
            array = generator.integers(0, limit, shape).astype(tensor.dtype)
        else:
            array = generator.normal(size=shape).astype(tensor.dtype)
        found[name] = to_source(array, order)
    return found


def integer_limit(vocabularies: Iterable[int]) -> int:
    """Give the size of the smallest vocabulary: integers below it are in all of them.

    Args:
        vocabularies: sizes of the network's embeddings; 10 where it has none.

    Example:
        >>> integer_limit([30_000, 2]), integer_limit([])
        (2, 10)
    """
    return min(vocabularies, default=10)


def _vocabularies(model: keras.Model) -> list[int]:
    import keras

    layers = model._flatten_layers()
    return [int(layer.input_dim) for layer in layers if isinstance(layer, keras.layers.Embedding)]


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
    with whole_float32():
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


def check_finite(results: Mapping[str, np.ndarray], origin: str) -> None:
    """Refuse results that nothing can be compared with.

    Args:
        results: outputs by name.
        origin: what gave them, for the message.

    Raises:
        InputError: if an output holds no finite number.
    """
    for name, array in results.items():
        if array.size and not np.isfinite(array).any():
            raise InputError(
                f"the output {name!r} of {origin} holds no finite number for these inputs: nothing "
                "can be compared. compile_model.py takes others by --input_npy and --result_npy."
            )


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
    for name, array in zip(names, found, strict=True):
        if array.dtype.kind not in "biuf":
            raise InputError(f"`{flag}`: {name!r} is of the type {array.dtype}; give numbers.")
    return dict(zip(names, found, strict=True))


def check_shapes(
    flag: str,
    arrays: Mapping[str, np.ndarray],
    tensors: Sequence[Any],
    orders: Mapping[str, Sequence[int]],
) -> None:
    """Compare the shapes of a user's arrays with those of a converted network.

    Args:
        flag: that gave them, for the message.
        arrays: by the source's names, in its order of axes.
        tensors: inputs or outputs of the Keras model.
        orders: of their axes, by the source's names.

    Raises:
        InputError: if one does not fit.
    """
    for tensor, (name, order) in zip(tensors, orders.items(), strict=True):
        wanted = to_source_shape(tensor.shape, order)
        shape = arrays[name].shape
        fits = len(shape) == len(wanted) and all(
            size in (None, given) for size, given in zip(wanted, shape, strict=True)
        )
        if not fits:
            sizes = ", ".join("n" if size is None else str(size) for size in wanted)
            raise InputError(
                f"`{flag}`: {name!r} must have the shape ({sizes}), axes in the source's order. "
                f"Received: {shape}."
            )


def _read_npy(flag: str, path: pathlib.Path) -> np.ndarray:
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # nothing is read yet
        if not isinstance(mapped, np.ndarray) or mapped.nbytes > _MAX_BYTES:
            raise ValueError("it is no array, or too large")
        return np.array(mapped)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"`{flag}`: {path} is no .npy file that can be read ({error}).") from error
