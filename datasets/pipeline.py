"""Batches from arrays in memory; a training batch is a pure function of (seed, epoch, index).

Nothing is shuffled through a buffer and nothing is skipped: step s is position s mod n of epoch
s div n, and each epoch's order is a keyed permutation (`index_shuffle`) that is evaluated only
where it is needed. So a run may begin at any step at once, several workers read exact shards of
one global batch, and the same (seed, step) gives the same pixels in every process.

TensorFlow is imported when batches are built, not before.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from datasets.config import DataConfig
from datasets.dataset_info import Arrays, DatasetInfo
from datasets.splits import stratified_split
from utils.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_SEED_LIMIT = 2**31  # the shuffle's seeds are int32


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Which batches are wanted.

    Attributes:
        batch_size: images per batch and worker.
        seed: of the order, the augmentation, the validation split and the calibration images.
        first_step: the step at which training batches begin.
        worker: (rank, number of workers); each worker gets its part of every global batch.
        val_fraction: share of the training split held out; 0 holds out nothing.
        num_samples: images of the calibration set.
    """

    batch_size: int
    seed: int = 0
    first_step: int = 0
    worker: tuple[int, int] = (0, 1)
    val_fraction: float = 0.0
    num_samples: int = 100


def build(
    split: str, arrays: Arrays, info: DatasetInfo, config: DataConfig, plan: BatchPlan
) -> tf.data.Dataset:
    """Build the batches of one split.

    Args:
        split: `train` (infinite, augmented; without the validation part if there is one), `val`
            (held-out part of the training split), `calibration` (`plan.num_samples` of the
            training images in a seeded order, not augmented) or `test`.
        arrays: the data set.
        info: its facts.
        config: the flags about data.
        plan: sizes, seed and shard.

    Returns:
        A dataset of (float32 images [batch, height, width, channels], int32 labels [batch]).

    Raises:
        ValueError: for another split.
        InputError: if a batch is larger than the split.
    """
    if split == "test":
        return eval_batches(arrays.test_images, arrays.test_labels, info, config, plan.batch_size)
    images, labels = arrays.train_images, arrays.train_labels
    if split == "calibration":
        kept = training_indices(labels, plan)[0]
        rows = np.random.default_rng(plan.seed).permutation(kept)[: plan.num_samples]
        return eval_batches(images[rows], labels[rows], info, config, plan.batch_size)
    if split not in ("train", "val"):
        raise ValueError(
            f"`split` must be 'train', 'val', 'calibration' or 'test'. Received: split={split!r}."
        )
    kept, held_out = training_indices(labels, plan)
    if split == "val":
        return eval_batches(images[held_out], labels[held_out], info, config, plan.batch_size)
    if len(kept) < len(labels):
        images, labels = images[kept], labels[kept]
    return train_batches(images, labels, info, config, plan)


def training_indices(labels: np.ndarray, plan: BatchPlan) -> tuple[np.ndarray, np.ndarray]:
    """Divide the training split into what trains and what is held out.

    Args:
        labels: of the training split, int32 [n].
        plan: `val_fraction` and `seed` decide.

    Returns:
        Two arrays of indices; the second is empty when nothing is held out.
    """
    if plan.val_fraction == 0.0:
        return np.arange(len(labels)), np.arange(0)
    return stratified_split(labels, plan.val_fraction, plan.seed)


def train_batches(
    images: np.ndarray, labels: np.ndarray, info: DatasetInfo, config: DataConfig, plan: BatchPlan
) -> tf.data.Dataset:
    """Build the infinite, shuffled, augmented training batches.

    Every epoch is a new permutation of all samples, of which the last (n mod global batch) are
    not used.

    Args:
        images: uint8 [n, height, width, channels].
        labels: int32 [n].
        info: the facts for augmentation and normalization.
        config: the flags about data.
        plan: batch size, seed, first step, worker.

    Returns:
        An infinite dataset of (images, labels), beginning at batch `plan.first_step`.

    Raises:
        InputError: if there are fewer samples than one global batch.
    """
    import tensorflow as tf

    rank, num_workers = plan.worker
    global_batch = plan.batch_size * num_workers
    steps_per_epoch = len(images) // global_batch
    if steps_per_epoch == 0:
        raise InputError(
            f"`batch_size` times the number of workers must be at most the {len(images)} training "
            f"images. Received: {plan.batch_size} * {num_workers}."
        )
    with tf.device("CPU:0"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)
    seed = plan.seed % _SEED_LIMIT
    first_row = rank * plan.batch_size

    @tf.autograph.experimental.do_not_convert  # see `utils.traced`
    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, index = step // steps_per_epoch, step % steps_per_epoch
        places = index * global_batch + first_row + tf.range(plan.batch_size, dtype=tf.int64)
        rows = tf.random.experimental.index_shuffle(
            places, seed=tf.stack([tf.constant(seed, tf.int64), epoch]), max_index=len(images) - 1
        )
        pixels = tf.gather(all_images, rows)
        if info.crop_padding or info.flip:
            draws = tf.random.stateless_uniform(
                [global_batch, 3], seed=tf.stack([tf.constant(seed, tf.int64), step])
            )
            shard = draws[first_row : first_row + plan.batch_size]
            pixels = augment(pixels, shard, padding=info.crop_padding, flip=info.flip)
        return normalize(pixels, info), tf.gather(all_labels, rows)

    return (
        tf.data.Dataset.counter(start=plan.first_step)
        .map(batch, num_parallel_calls=config.nb_threads, deterministic=True)
        .prefetch(config.prefetch_size)
    )


def eval_batches(
    images: np.ndarray,
    labels: np.ndarray,
    info: DatasetInfo,
    config: DataConfig,
    batch_size: int,
) -> tf.data.Dataset:
    """Build finite batches in order, without augmentation; the last may be smaller.

    Args:
        images: uint8 [n, height, width, channels].
        labels: int32 [n].
        info: the facts for normalization.
        config: the flags about data.
        batch_size: images per batch.

    Returns:
        A finite dataset of (images, labels).
    """
    import tensorflow as tf

    with tf.device("CPU:0"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)

    @tf.autograph.experimental.do_not_convert
    def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        stop = tf.minimum(start + batch_size, len(images))
        return normalize(all_images[start:stop], info), all_labels[start:stop]

    return (
        tf.data.Dataset.range(0, len(images), batch_size)
        .map(batch, num_parallel_calls=config.nb_threads, deterministic=True)
        .prefetch(config.prefetch_size)
    )


def augment(images: tf.Tensor, draws: tf.Tensor, *, padding: int, flip: bool) -> tf.Tensor:
    """Crop each image at a place of its own from its zero-padded self, and mirror half of them.

    One gather of pixels does both: mirroring is a crop whose columns are read backwards.

    Args:
        images: [batch, height, width, channels], any dtype.
        draws: float32 [batch, 3], uniform in [0, 1): row offset, column offset, mirror.
        padding: zero pixels added on every side.
        flip: whether to mirror at all.

    Returns:
        Images of the same shape and dtype.
    """
    import tensorflow as tf

    _, height, width, channels = images.shape
    padded_width = width + 2 * padding
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    offsets = tf.cast(draws[:, :2] * (2 * padding + 1), tf.int32)
    columns = tf.range(width)[None, :]
    if flip:
        columns = tf.where(draws[:, 2:] < 0.5, columns, width - 1 - columns)
    rows = offsets[:, :1] + tf.range(height)[None, :]
    columns = offsets[:, 1:] + columns
    places = rows[:, :, None] * padded_width + columns[:, None, :]
    pixels = tf.reshape(padded, [-1, (height + 2 * padding) * padded_width, channels])
    return tf.ensure_shape(tf.gather(pixels, places, batch_dims=1), [None, height, width, channels])


def normalize(images: tf.Tensor, info: DatasetInfo) -> tf.Tensor:
    """Turn raw pixels into (pixel / max_value - mean) / std.

    Args:
        images: uint8 [batch, height, width, channels].
        info: the facts.

    Returns:
        float32, same shape.
    """
    import tensorflow as tf

    mean, std = np.array(info.mean), np.array(info.std)
    scale = (1.0 / (info.max_value * std)).astype(np.float32)
    return tf.cast(images, tf.float32) * scale - (mean / std).astype(np.float32)
