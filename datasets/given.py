"""Data that a caller has already: arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset`.

All become batches (inputs, labels) of known number. Sample weights ride on the labels, so that
whatever handles pairs need not know of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError

Inputs = Mapping[str, tuple[int | None, ...]]

_SEED_LIMIT = 2**31  # the shuffle's seeds are int32
_FORMS = (
    "arrays (x, y) or (x, y, sample_weights), a tf.data.Dataset or a keras.utils.PyDataset of "
    "batches (x, y)"
)


class Weighted(NamedTuple):
    """Labels with their sample weights."""

    labels: Any
    weights: Any


def unpacked(labels: Any) -> tuple[Any, Any]:
    """Split labels as they are in a batch into (labels, sample weights or None)."""
    if isinstance(labels, Weighted):
        return labels.labels, labels.weights
    return labels, None


@dataclasses.dataclass(frozen=True)
class Given:
    """One split.

    Attributes:
        batches: finite, in order; elements are (inputs, labels).
        training: gives the infinite training batches from a step on.
        num_batches: of one pass.
    """

    batches: tf.data.Dataset
    training: Callable[[int], tf.data.Dataset]
    num_batches: int

    def batch_size(self) -> int:
        """Count the samples of the first batch."""
        return len(keras.tree.flatten(next(iter(self.batches.take(1))))[0])


def read_given(name: str, data: Any, inputs: Inputs, *, batch_size: int, seed: int) -> Given:
    """Make batches of what the caller gave.

    Args:
        name: of the argument, for messages.
        data: see the module.
        inputs: the shapes of the network's inputs, with the batch axis, by name and in its order.
        batch_size: for arrays.
        seed: of the order in which arrays and the batches of a PyDataset are trained on.

    Returns:
        The split. Arrays are shuffled for training, as Keras does, every epoch in another order;
        a batch is a function of the seed and its number. A tf.data.Dataset is repeated as it is.

    Raises:
        InputError: for other data, single samples instead of batches, a length that is not known
            or not finite, sizes that do not fit the network.
    """
    if isinstance(data, tf.data.Dataset):
        given = _of_dataset(name, data, inputs)
    elif isinstance(data, keras.utils.PyDataset):
        given = _of_py_dataset(name, data, seed)
    elif isinstance(data, tuple):
        given = _of_arrays(name, data, batch_size, seed)
    else:
        raise InputError(
            f"`{name}` must be {_FORMS}. Received: {type(data).__name__}.{_advice(data)}"
        )
    return _fitted(name, given, inputs)


def _advice(data: Any) -> str:
    if isinstance(data, np.ndarray):
        return " Add the labels: (x, y)."
    if isinstance(data, list):
        return " Write (x, y) as a tuple."
    if isinstance(data, Iterator):
        return (
            " A generator can be used only once: wrap it with "
            "tf.data.Dataset.from_generator and assert_cardinality, or gather its arrays."
        )
    return ""


# --- arrays ---------------------------------------------------------------------------------------


def _of_arrays(name: str, data: tuple[Any, ...], batch_size: int, seed: int) -> Given:
    if len(data) not in (2, 3):
        raise InputError(f"`{name}` must be {_FORMS}. Received: a tuple of {len(data)}.")
    parts = [_arrays(name, part) for part in data]
    sizes = [len(array) for array in keras.tree.flatten(parts)]
    if len(set(sizes)) != 1:
        raise InputError(
            f"`{name}` must have arrays of one length. Received lengths: "
            f"{', '.join(map(str, sizes))}."
        )
    (size,) = set(sizes)
    if not size:
        raise InputError(f"`{name}` must have samples. Received: arrays of length 0.")
    with tf.device("CPU:0"):
        tensors = keras.tree.map_structure(tf.constant, parts)
    num_batches = -(-size // batch_size)

    def rows(places: Any) -> Any:
        x, y, *weights = keras.tree.map_structure(lambda t: tf.gather(t, places), tensors)
        return _pair(x, y, *weights)

    def batch(step: tf.Tensor) -> Any:
        """Take a batch of a permutation that is drawn anew for every epoch."""
        epoch, index = step // num_batches, step % num_batches
        last = tf.minimum((index + 1) * batch_size, size)
        places = tf.range(index * batch_size, last, dtype=tf.int64)
        keys = tf.stack([tf.constant(seed % _SEED_LIMIT, tf.int64), epoch])
        return rows(tf.random.experimental.index_shuffle(places, seed=keys, max_index=size - 1))

    def ordered(start: tf.Tensor) -> Any:
        return rows(tf.range(start, tf.minimum(start + batch_size, size)))

    def training(first_step: int) -> tf.data.Dataset:
        return tf.data.Dataset.counter(first_step).map(batch).prefetch(tf.data.AUTOTUNE)

    batches = tf.data.Dataset.range(0, size, batch_size).map(ordered).prefetch(tf.data.AUTOTUNE)
    return Given(batches, training, num_batches)


def _arrays(name: str, part: Any) -> Any:
    """Turn one part into arrays as Keras does: floats are float32, lists of arrays are tuples."""
    if isinstance(part, Mapping):
        return {key: _arrays(name, value) for key, value in part.items()}
    if isinstance(part, (list, tuple)) and part and not np.isscalar(part[0]):
        return tuple(_arrays(name, value) for value in part)
    array = np.asarray(part)
    if array.ndim == 0 or array.dtype.kind not in "biufSU":
        raise InputError(
            f"`{name}` must be {_FORMS}. Received in it: {type(part).__name__} of {array.dtype}."
        )
    return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array


def _pair(inputs: Any, labels: Any, weights: Any = None) -> tuple[Any, Any]:
    return inputs, labels if weights is None else Weighted(labels, weights)


# --- data sets ------------------------------------------------------------------------------------


def _of_dataset(name: str, dataset: tf.data.Dataset, inputs: Inputs) -> Given:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise InputError(
            f"`{name}` must give pairs (inputs, labels), or triples with sample weights. Received "
            f"elements of: {spec}. Bring them into that form with .map(…)."
        )
    _refuse_single_samples(name, spec[0], inputs)
    num_batches = int(dataset.cardinality())
    if num_batches < 1:
        what = {-1: "repeats without end: leave .repeat() out", 0: "has no batch"}
        unknown = (
            "does not tell how many batches it has. Add .apply(tf.data.experimental."
            "assert_cardinality(number_of_batches))"
        )
        raise InputError(
            f"`{name}` must have a known, finite length. It {what.get(num_batches, unknown)}."
        )
    batches = dataset.map(_pair)

    def training(first_step: int) -> tf.data.Dataset:
        repeated = batches.repeat()
        return repeated.skip(first_step) if first_step else repeated

    return Given(batches, training, num_batches)


def _refuse_single_samples(name: str, spec: Any, inputs: Inputs) -> None:
    parts = _by_input(spec, inputs)
    if parts is None:
        return
    pairs = [(part.shape, wanted) for part, wanted in zip(parts, inputs.values(), strict=True)]
    if all(
        given.rank == len(wanted) - 1 and _compatible(given, wanted[1:]) for given, wanted in pairs
    ):
        raise InputError(
            f"`{name}` gives single samples, of shape {pairs[0][0]}; the network takes batches, of "
            f"shape {pairs[0][1]}. Write {name}.batch(128)."
        )


# --- keras.utils.PyDataset ------------------------------------------------------------------------


def _of_py_dataset(name: str, data: keras.utils.PyDataset, seed: int) -> Given:
    num_batches = data.num_batches
    if num_batches is None or num_batches < 1:
        raise InputError(
            f"`{name}` must have a known, finite length. Received a PyDataset of {num_batches} "
            "batches. Let its __len__ give the number of batches."
        )

    def element(index: int) -> Any:
        item = data[index]
        if not isinstance(item, tuple) or len(item) not in (2, 3):
            raise InputError(
                f"`{name}` must give pairs (inputs, labels), or triples with sample weights. "
                f"Received a batch of {type(item).__name__}."
            )
        return tuple(_arrays(name, part) for part in item)

    first = element(0)
    signature = keras.tree.map_structure(_open_batch, first)

    def dataset(indices: Callable[[], Iterator[int]]) -> tf.data.Dataset:
        made = tf.data.Dataset.from_generator(
            lambda: map(element, indices()), output_signature=signature
        )
        return made.map(_pair)

    def in_training_order(first_step: int) -> Iterator[int]:
        epoch, done = divmod(first_step, num_batches)
        while True:
            order = np.random.default_rng([seed, epoch]).permutation(num_batches)
            data.on_epoch_begin()
            yield from (int(index) for index in order[done:])
            data.on_epoch_end()
            epoch, done = epoch + 1, 0

    batches = dataset(lambda: iter(range(num_batches))).apply(
        tf.data.experimental.assert_cardinality(num_batches)
    )
    return Given(
        batches,
        lambda first_step: dataset(lambda: in_training_order(first_step)),
        num_batches,
    )


def _open_batch(array: np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec((None, *array.shape[1:]), array.dtype)


# --- sizes ----------------------------------------------------------------------------------------


def _fitted(name: str, given: Given, inputs: Inputs) -> Given:
    """Check the inputs' sizes; give maps without a channel axis the one of size 1 they lack."""
    spec = given.batches.element_spec[0]
    parts = _by_input(spec, inputs)
    if parts is None:
        raise InputError(
            f"`{name}` must give the network's {len(inputs)} inputs: "
            f"{', '.join(inputs)}. Received: {spec}."
        )
    lacking = []
    for part, (tensor, wanted) in zip(parts, inputs.items(), strict=True):
        lacks = wanted[-1:] == (1,) and _compatible(part.shape, wanted[:-1])
        lacking.append(lacks and not _compatible(part.shape, wanted))
        if not lacks and not _compatible(part.shape, wanted):
            raise InputError(
                f"`{name}` gives inputs of shape {part.shape}; the network takes {wanted}"
                f"{f' ({tensor})' if len(inputs) > 1 else ''}. Give batches of that shape."
            )
    if not any(lacking):
        return given
    if len(inputs) > 1:
        raise InputError(
            f"`{name}` gives inputs without the last axis, of size 1, that the network takes. Add "
            "it: x[..., None]."
        )

    def with_axis(x: Any, y: Any) -> Any:
        return keras.tree.map_structure(lambda part: tf.expand_dims(part, -1), x), y

    training = given.training
    return dataclasses.replace(
        given,
        batches=given.batches.map(with_axis),
        training=lambda first_step: training(first_step).map(with_axis),
    )


def _by_input(spec: Any, inputs: Inputs) -> list[Any] | None:
    """List the specs in the order of the inputs; None where they do not match."""
    if isinstance(spec, Mapping):
        return [spec[name] for name in inputs] if set(inputs) <= set(spec) else None
    parts = keras.tree.flatten(spec)
    return parts if len(parts) == len(inputs) else None


def _compatible(given: Any, wanted: tuple[int | None, ...]) -> bool:
    return bool(given.is_compatible_with(tf.TensorShape(wanted)))
