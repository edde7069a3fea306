"""Batches of a part; a training batch is a pure function of seed and step.

TensorFlow is imported when batches are built, not before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from datasets.user_data.parts import Part

if TYPE_CHECKING:
    import tensorflow as tf

_SEED_LIMIT = 2**31  # the shuffle's seeds are int32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
    """How samples become batches.

    Attributes:
        shape: of an input as the network takes it.
        scaled: brings a batch of float32 inputs onto the network's scale, in a graph.
        num_threads: inputs, or batches, that are prepared at the same time.
        prefetch: batches kept ready.
    """

    shape: tuple[int, ...]
    scaled: Callable[[tf.Tensor], tf.Tensor]
    num_threads: int
    prefetch: int

    def ordered(self, part: Part, batch_size: int) -> tf.data.Dataset:
        """Build finite batches in order; the last may be smaller.

        Returns:
            A dataset of (float32 inputs [batch, …], labels [batch, …]).
        """
        import tensorflow as tf

        return self._batches(part, tf.data.Dataset.range(len(part)), batch_size)

    def training(
        self,
        part: Part,
        batch_size: int,
        *,
        seed: int,
        first_step: int = 0,
        worker: tuple[int, int] = (0, 1),
    ) -> tf.data.Dataset:
        """Build infinite batches, every epoch in another order.

        The last samples of an epoch that make no whole batch (of all workers) are left out; which
        these are differs from epoch to epoch.

        Args:
            part: at least as many samples as all workers take in a step.
            batch_size: samples per step and worker.
            seed: of the order.
            first_step: the step at which to begin.
            worker: (rank, number of workers); each gets its part of every step's samples.
        """
        import tensorflow as tf

        rank, num_workers = worker
        num_steps = max(1, len(part) // (batch_size * num_workers))

        def row(number: tf.Tensor) -> tf.Tensor:
            step, place = number // batch_size, number % batch_size
            epoch, index = step // num_steps, step % num_steps
            keys = tf.stack([tf.constant(seed % _SEED_LIMIT, tf.int64), epoch])
            return tf.random.experimental.index_shuffle(
                (index * num_workers + rank) * batch_size + place,
                seed=keys,
                max_index=len(part) - 1,
            )

        rows = tf.data.Dataset.counter(first_step * batch_size).map(row)
        return self._batches(part, rows, batch_size)

    def _batches(self, part: Part, rows: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        import tensorflow as tf

        fetch = part.inputs.fetch(self.shape)
        with tf.device("CPU:0"):
            labels = tf.constant(part.labels)

        def samples(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return fetch(numbers), tf.gather(labels, numbers)

        def finished(inputs: tf.Tensor, own: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self.scaled(tf.ensure_shape(inputs, [None, *self.shape])), own

        if part.inputs.at_once:
            batches = rows.batch(batch_size).map(
                samples, num_parallel_calls=self.num_threads, deterministic=True
            )
        else:
            batches = rows.map(
                samples, num_parallel_calls=self.num_threads, deterministic=True
            ).batch(batch_size)
        return batches.map(finished).prefetch(self.prefetch)
