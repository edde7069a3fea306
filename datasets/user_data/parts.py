"""What every form of a user's data becomes: parts of samples that are fetched by their numbers.

A part is the inputs of some samples and their labels. Labels are small and always in memory; inputs
are arrays, or files that are read and decoded when their turn comes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from datasets.splits import stratified_split
from utils.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

TEST_FRACTION = 0.2
"""Share of the samples that test where the data have no part for it."""

_SPLIT_SEED = 0  # the test part is a fact: it does not follow --seed
_BRIGHT = 64  # images whose greatest value is lower are not on the scale of bytes


class Inputs(Protocol):
    """The inputs of a part."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one input; None where it is decoded to the size that the network takes."""

    @property
    def white(self) -> float | None:
        """The value that stands for white, of which `--scale` speaks.

        None for values that are no pixels and are taken as they are.
        """

    @property
    def at_once(self) -> bool:
        """Whether many are fetched in one step, or each by itself."""

    def __len__(self) -> int:
        """Count them."""

    def select(self, rows: np.ndarray) -> Inputs:
        """Take some of them, by number."""

    def fetch(self, shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
        """Make the function from numbers to float32 inputs of this shape, to run in a graph.

        It takes an int64 vector and gives a batch where `at_once`, else a scalar and gives one.
        """

    def check(self, shape: tuple[int, ...]) -> None:
        """Decode what has to be decoded, once.

        Raises:
            InputError: names the first that cannot be.
        """


@dataclasses.dataclass(frozen=True)
class Stored:
    """Inputs in memory.

    Attributes:
        array: numbers [n, ...].
        white: see `Inputs`.
    """

    array: np.ndarray
    white: float | None
    at_once: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one."""
        return self.array.shape[1:]

    def __len__(self) -> int:
        return len(self.array)

    def select(self, rows: np.ndarray) -> Stored:
        """Take some of them."""
        return dataclasses.replace(self, array=self.array[rows])

    def fetch(self, shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
        """Gather; values keep their order where the shape is another."""
        import tensorflow as tf

        everything = self._tensor

        def gather(rows: tf.Tensor) -> tf.Tensor:
            found = tf.cast(tf.gather(everything, rows), tf.float32)
            return tf.reshape(found, [-1, *shape])

        return gather

    @functools.cached_property
    def _tensor(self) -> tf.Tensor:
        """The array for graphs: one copy for all data sets that are made of it."""
        import tensorflow as tf

        with tf.device("CPU:0"):
            return tf.constant(self.array)

    def check(self, shape: tuple[int, ...]) -> None:
        """Do nothing: nothing is decoded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the samples.

    Attributes:
        inputs: of n samples.
        labels: classes, int64 [n], or values, float32 [n, ...].
    """

    inputs: Inputs
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_classes(self) -> bool:
        """Whether the labels are classes."""
        return self.labels.dtype.kind in "iu"

    def select(self, rows: np.ndarray) -> Part:
        """Take some of the samples, by number."""
        return Part(inputs=self.inputs.select(rows), labels=self.labels[rows])

    def divide(self, fraction: float, seed: int) -> tuple[Part, Part]:
        """Divide into two, with the classes in equal proportion where there are classes.

        Args:
            fraction: share of the second.
            seed: which of the possible divisions.
        """
        if self.has_classes:
            first, second = stratified_split(self.labels, fraction, seed)
        else:
            order = np.random.default_rng(seed).permutation(len(self))
            second, first = (
                np.sort(rows) for rows in np.split(order, [round(fraction * len(self))])
            )
        return self.select(first), self.select(second)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UserData:
    """A user's data.

    Attributes:
        name: for the report.
        train: what is trained on.
        test: what the final figures are of.
        val: what is held out of training, where the data say so themselves.
        classes: the names of the classes, where they have names.
        mean: of each channel, of inputs divided by `white`; None where it is to be measured.
        std: likewise, the deviation.
        unlabelled: there are no labels, those of the parts mean nothing.
        notes: what was settled on reading, for the user.
    """

    name: str
    train: Part
    test: Part
    val: Part | None = None
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    unlabelled: bool = False
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenData:
    """Batches as the user's own code gives them, see `datasets.given`."""

    name: str
    train: Any
    test: Any


def with_test_part(name: str, part: Part, classes: tuple[str, ...] = ()) -> UserData:
    """Hold out a test part where the data have none, and say so.

    Args:
        name: of the data.
        part: all samples.
        classes: their names.

    Raises:
        InputError: if there are too few samples.
    """
    train, test = part.divide(TEST_FRACTION, _SPLIT_SEED)
    if not len(test):
        raise InputError(
            f"{name}: {len(part)} samples are too few to hold a fifth of each class out for "
            "testing. Give more, or a test part."
        )
    note = (
        f"{name} has no test part: {len(test):,} of {len(part):,} samples are held out for it, the "
        "same at every run. If the network was trained on them, its accuracy before looks too good."
    )
    return UserData(name=name, train=train, test=test, classes=classes, notes=(note,))


def white_of(arrays: list[np.ndarray]) -> float | None:
    """Tell which value stands for white in inputs [n, ...], by their type and greatest value.

    Example:
        >>> white_of([np.zeros((1, 8, 8), np.uint8), np.full((1, 8, 8), 200, np.uint8)])
        255.0
        >>> white_of([np.full((1, 8, 8), 0.9, np.float32)])
        1.0
        >>> white_of([np.full((1, 8, 8), -0.9, np.float32)]) is None
        True
    """
    if any(array.ndim < 3 for array in arrays):
        return None
    least = min(float(array.min()) for array in arrays)
    greatest = max(float(array.max()) for array in arrays)
    if least < 0 or greatest > 255 or greatest <= 0:
        return None
    if greatest > _BRIGHT:
        return 255.0
    return 1.0 if greatest <= 1 and arrays[0].dtype.kind == "f" else greatest
