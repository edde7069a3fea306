"""CIFAR-10 for the peer: the binary batches, the order of an epoch, how its images are moved.

What is drawn for an image depends on (seed, epoch, image) alone, not on the batch it comes in.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
PADDING = 4
NUM_HELD_OUT = 5000
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32


@dataclasses.dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        train: uint8 [n, 32, 32, 3].
        train_labels: int64 [n].
        test: the images that are scored, likewise.
        test_labels: their labels.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    def held_out(self, seed: int) -> Images:
        """Score a part of the training images instead of the test images, and do not train on it.

        Args:
            seed: which part of `NUM_HELD_OUT` images.

        Returns:
            The divided training images.
        """
        order = np.random.default_rng(seed).permutation(len(self.train))
        kept, out = np.sort(order[NUM_HELD_OUT:]), np.sort(order[:NUM_HELD_OUT])
        return Images(
            self.train[kept], self.train_labels[kept], self.train[out], self.train_labels[out]
        )


def load(folder: pathlib.Path) -> Images:
    """Read the six binary batches.

    Args:
        folder: holds `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`.

    Returns:
        The data set, in the order of the files.

    Raises:
        FileNotFoundError: if one is missing.
        ValueError: if one has no whole number of records.
    """
    images, labels = zip(*(read_batch(folder / name) for name in _TRAIN), strict=True)
    return Images(np.concatenate(images), np.concatenate(labels), *read_batch(folder / _TEST))


def read_batch(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one batch: a label byte, then the red, green and blue plane of each image.

    Args:
        path: the file.

    Returns:
        Images uint8 [n, 32, 32, 3] and labels int64 [n].

    Raises:
        ValueError: if the last record is incomplete.
    """
    raw = np.fromfile(path, np.uint8)
    if raw.size == 0 or raw.size % _RECORD:
        raise ValueError(
            f"{path} must hold records of {_RECORD} bytes. Received: {raw.size} bytes."
        )
    records = raw.reshape(-1, _RECORD)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64)


def epoch_draws(num_images: int, *, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the order of an epoch, and of each image where it is cropped and whether mirrored.

    Args:
        num_images: of the training split.
        seed: of the run.
        epoch: counted from 0.

    Returns:
        A permutation int64 [n], and int64 [n, 3] by the image's number: row and column of the crop
        in 0 .. 2 `PADDING`, 1 for mirrored.

    Example:
        >>> order, moves = epoch_draws(5, seed=0, epoch=1)
        >>> sorted(order.tolist()), moves.shape
        ([0, 1, 2, 3, 4], (5, 3))
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(num_images)
    crops = generator.integers(0, 2 * PADDING + 1, (num_images, 2))
    mirrored = generator.integers(0, 2, (num_images, 1))
    return order, np.concatenate([crops, mirrored], axis=1)


def padded(images: np.ndarray) -> np.ndarray:
    """Surround images [n, height, width, channels] by `PADDING` zero pixels."""
    return np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))


def places(moves: np.ndarray, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Say which rows and columns of the padded images make the moved ones.

    Args:
        moves: int [batch, 3], see `epoch_draws`.
        size: of the images.

    Returns:
        Rows [batch, size] and columns [batch, size]; a mirrored image's columns run backwards.

    Example:
        >>> rows, columns = places(np.array([[2, 0, 1]]), size=3)
        >>> rows.tolist(), columns.tolist()
        ([[2, 3, 4]], [[2, 1, 0]])
    """
    forward = np.arange(size)
    across = np.where(moves[:, 2:] == 1, forward[::-1], forward)
    return moves[:, :1] + forward, moves[:, 1:2] + across
