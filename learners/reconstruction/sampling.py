"""Sampling what layers see: im2col rows at random output positions, summed to moments.

Rows X of a layer come from the network as compressed so far, and targets `Y = X0 W` from the same
images and positions in the network before (X0: the rows there, W: its kernel).
Targets of many layers come from one pass over the images; they are small (positions times output
channels) and wait in memory. Rows are wide and never held: they go straight into `LayerStatistics`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from learners.reconstruction.importance import Cut
from learners.reconstruction.statistics import LayerStatistics
from nets.abstract_model_helper import AbstractModelHelper
from utils.graph.row import Window
from utils.shards import shard
from utils.traced import traced


def rows(window: Window, maps: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Cut the rows that a layer's kernel multiplies at given output positions out of input maps.

    Args:
        window: how the layer reads its input.
        maps: [B, H, W, C], or [B, C] / [B, ..., C] for a Dense layer; of any float type.
        positions: float32 [B, K, 2] in [0, 1): where among the outputs (row, column).

    Returns:
        float32 [B * K, kernel positions * C]; [B, C] for maps without positions.
    """
    maps = tf.cast(maps, tf.float32)
    if maps.shape.rank == 2:
        return maps
    if maps.shape.rank != 4:
        maps = tf.reshape(maps, [tf.shape(maps)[0], 1, -1, maps.shape[-1]])
    maps, outputs = _padded(window, maps)
    corner = tf.cast(positions * tf.cast(outputs, tf.float32), tf.int32)
    corner = tf.minimum(corner, outputs - 1) * tf.constant(window.strides, tf.int32)
    return _gathered(window, maps, corner)


def _padded(window: Window, maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pad maps as the layer does; also give the height and width of its output."""
    size = tf.shape(maps)[1:3]
    reach, strides = tf.constant(window.reach, tf.int32), tf.constant(window.strides, tf.int32)
    if not window.same:
        return maps, (size - reach) // strides + 1
    outputs = (size + strides - 1) // strides
    total = tf.maximum((outputs - 1) * strides + reach - size, 0)
    before = total // 2  # as TensorFlow's "same": the odd pixel goes after
    pads = tf.pad(tf.stack([before, total - before], axis=1), [[1, 1], [0, 0]])
    return tf.pad(maps, pads), outputs


def _gathered(window: Window, maps: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
    down, across = np.meshgrid(
        np.arange(window.kernel_size[0]) * window.dilation[0],
        np.arange(window.kernel_size[1]) * window.dilation[1],
        indexing="ij",
    )
    inside = np.stack([down, across], axis=-1).reshape(-1, 2)
    places = corner[:, :, None, :] + tf.constant(inside, tf.int32)  # [B, K, kh * kw, 2]
    patches = tf.gather_nd(maps, places, batch_dims=1)  # [B, K, kh * kw, C]
    return tf.reshape(patches, [-1, inside.shape[0] * tf.shape(maps)[-1]])


@dataclasses.dataclass(frozen=True)
class BranchTarget:
    """What a layer at the end of a residual branch should give so that the *sum* is as before.

    With `sum = scale * output + offset + shortcut`, where the batch norm behind the layer and its
    bias give scale and offset (1 and the bias without a norm), the target is
    `(sum before - offset - shortcut now) / scale`: the branch makes up for the error of its
    shortcut. Outputs whose scale is (nearly) 0 keep their own target.

    Attributes:
        inverse_scale: float32 [O], 1 / scale, 0 where the scale is too small.
        shift: float32 [O], -offset / scale.
    """

    inverse_scale: np.ndarray
    shift: np.ndarray


@dataclasses.dataclass(frozen=True)
class Sampled:
    """One layer to sample.

    Attributes:
        key: distinguishes the layers' random positions.
        window: how it reads its input.
        kernel: float32 [P, O], its kernel before pruning, as a matrix.
        branch: set where its target is that of a residual sum.
    """

    key: int
    window: Window
    kernel: np.ndarray
    branch: BranchTarget | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Rows of a layer.

    Attributes:
        rows: float32 [n, P], X.
        targets: float32 [n, O], Y.
        shortcuts: float32 [n, O] or [n, 1], what a shortcut adds, in units of the output; else 0.
        weights: float32 [n], what a squared error of each row counts.
    """

    rows: np.ndarray
    targets: np.ndarray
    shortcuts: np.ndarray
    weights: np.ndarray


class Sampler:
    """Samples layers over a stream of images.

    Several workers each sample a part of the batches, and all get the moments of the whole.

    Args:
        batches: finite iterable of images float32 [B, H, W, C], the same at every pass and in every
            worker.
        num_images: images in it.
        num_positions: output positions taken from each image and layer.
        seed: the positions are a function of (seed, layer's key, batch).
        has_classes: the network's only output gives scores of classes.

    Attributes:
        part: this worker's batches.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        *,
        num_images: int,
        num_positions: int,
        seed: int,
        has_classes: bool = False,
    ) -> None:
        self.batches = batches
        self.has_classes = has_classes
        self.part = shard(batches)
        self.num_images = num_images
        self.num_positions = num_positions
        self.seed = seed

    def _positions(self, images: Any, key: int, batch: tf.Tensor) -> tf.Tensor:
        seed = tf.random.experimental.stateless_fold_in(tf.constant([self.seed, key]), batch)
        size = tf.shape(keras.tree.flatten(images)[0])[0]
        return tf.random.stateless_uniform([size, self.num_positions, 2], seed=seed)

    def targets(self, layers: Sequence[Sampled], model: keras.Model) -> list[list[np.ndarray]]:
        """Compute the outputs that layers should go on giving, in one pass.

        Args:
            layers: the layers.
            model: network inputs -> the layers' inputs in order, then the sums of those with a
                `branch`, before pruning.

        Returns:
            For each layer a list of float32 [rows, O], one per batch of this worker.
        """

        @traced
        def outputs(images: Any, batch: tf.Tensor) -> list[tf.Tensor]:
            maps = keras.tree.flatten(model(images, training=False))
            sums = iter(maps[len(layers) :])
            return [
                self._target(item, seen, sums, self._positions(images, item.key, batch))
                for item, seen in zip(layers, maps[: len(layers)], strict=True)
            ]

        found: list[list[np.ndarray]] = [[] for _ in layers]
        for number, images in self.part.numbered():
            for kept, target in zip(found, outputs(images, tf.constant(number)), strict=True):
                kept.append(target.numpy())
        return found

    @staticmethod
    def _target(
        item: Sampled, maps: tf.Tensor, sums: Iterator[tf.Tensor], positions: tf.Tensor
    ) -> tf.Tensor:
        own = rows(item.window, maps, positions) @ tf.constant(item.kernel, tf.float32)
        if item.branch is None:
            return own
        inverse = tf.constant(item.branch.inverse_scale, tf.float32)
        wanted = rows(_PIXEL, next(sums), positions) * inverse + item.branch.shift
        return tf.where(inverse == 0.0, own, wanted)

    def statistics(
        self,
        item: Sampled,
        model: Callable[..., Sequence[tf.Tensor]],
        batches: Iterable[Any],
        targets: Sequence[np.ndarray],
        weights: Sequence[np.ndarray] | None = None,
    ) -> LayerStatistics:
        """Sum up a layer's moments.

        Args:
            item: the layer.
            model: a batch -> the layer's input (and, with a `branch`, the shortcut) in the network
                as pruned so far.
            batches: this worker's images in the same order, or what stands for them
                (`frontier.py`).
            targets: the layer's entry of `targets`.
            weights: for each batch float32 [rows], what a squared error of each row counts; None =
                all 1.

        Returns:
            The moments over all batches.
        """

        @traced
        def moments(
            images: Any, batch: tf.Tensor, target: tf.Tensor, weight: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            positions = self._positions(images, item.key, batch)
            maps = model(images)
            seen = rows(item.window, maps[0], positions)
            if item.branch is not None:
                target -= rows(_PIXEL, maps[1], positions) * item.branch.inverse_scale
            root = tf.sqrt(weight)[:, None]
            seen, target = _with_ones(seen) * root, target * root
            return (
                tf.matmul(seen, seen, transpose_a=True),
                tf.matmul(seen, target, transpose_a=True),
                tf.reduce_sum(target * target, axis=0),
            )

        total = LayerStatistics.empty(*item.kernel.shape)
        pairs = zip(batches, targets, strict=True)
        with self.part.workers.failing_together():
            for index, (number, (images, target)) in enumerate(self.part.numbered(pairs)):
                weight = np.ones(len(target), np.float32) if weights is None else weights[index]
                given = [tf.constant(each) for each in (number, target, weight)]
                parts = moments(images, *given)
                total += LayerStatistics(*(part.numpy().astype(np.float64) for part in parts))
        sums = [total.moment, total.cross, total.target_squares]
        return LayerStatistics(*self.part.workers.sum_arrays(sums))

    def samples(
        self,
        item: Sampled,
        model: Callable[..., Sequence[tf.Tensor]],
        batches: Iterable[Any],
        targets: Sequence[np.ndarray],
        weights: Sequence[np.ndarray] | None = None,
        *,
        max_bytes: int,
    ) -> Samples:
        """Hold the rows themselves, of as many batches as fit; arguments as of `statistics`.

        Args:
            item: the layer.
            model: see `statistics`.
            batches: see `statistics`.
            targets: see `statistics`.
            weights: see `statistics`.
            max_bytes: that the rows take.
        """

        @traced
        def cut(images: Any, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            positions = self._positions(images, item.key, batch)
            maps = model(images)
            seen = rows(item.window, tf.convert_to_tensor(maps[0]), positions)
            if item.branch is None:
                return seen, tf.zeros([tf.shape(seen)[0], 1])
            shortcut = rows(_PIXEL, tf.convert_to_tensor(maps[1]), positions)
            return seen, shortcut * item.branch.inverse_scale

        found: list[tuple[np.ndarray, ...]] = []
        pairs = zip(batches, targets, strict=True)
        with self.part.workers.failing_together():
            for index, (number, (images, target)) in enumerate(self.part.numbered(pairs)):
                # All batches but the last are of one size: the same are taken, whoever has them.
                num_rows = number * len(targets[0]) + len(target)
                if number and 4 * num_rows * item.kernel.shape[0] > max_bytes:
                    break
                seen, shortcut = (part.numpy() for part in cut(images, tf.constant(number)))
                weight = np.ones(len(target), np.float32) if weights is None else weights[index]
                found.append((seen, target - shortcut, shortcut, weight))
        return Samples(*map(np.concatenate, zip(*self.part.gathered(found), strict=True)))

    def places(self, key: int) -> Cut:
        """Give the function that cuts a layer's rows out of a map of its output; see `Cut`."""

        def cut(maps: tf.Tensor, images: Any, number: tf.Tensor) -> tf.Tensor:
            return rows(_PIXEL, maps, self._positions(images, key, number))

        return cut

    def own_statistics(
        self, layers: Sequence[Sampled], model: keras.Model
    ) -> list[LayerStatistics]:
        """Sum up the moments of many layers in one network, their own outputs as targets.

        One pass serves all: with targets `X W`, everything follows from `[X 1]^T [X 1]`.

        Args:
            layers: the layers.
            model: network inputs -> the layers' inputs, in order.

        Returns:
            The moments of each layer over all batches.
        """

        @traced
        def moments(images: Any, batch: tf.Tensor) -> list[tf.Tensor]:
            maps = keras.tree.flatten(model(images, training=False))
            found = []
            for item, seen in zip(layers, maps, strict=True):
                cut = _with_ones(rows(item.window, seen, self._positions(images, item.key, batch)))
                found.append(tf.matmul(cut, cut, transpose_a=True))
            return found

        totals = [np.zeros([item.kernel.shape[0] + 1] * 2) for item in layers]
        with self.part.workers.failing_together():
            for number, images in self.part.numbered():
                for total, part in zip(totals, moments(images, tf.constant(number)), strict=True):
                    total += part.numpy()
        totals = self.part.workers.sum_arrays(totals)
        return [
            LayerStatistics.of_kernel(total, item.kernel)
            for total, item in zip(totals, layers, strict=True)
        ]


_PIXEL = Window()  # one position of a map, all its channels


def _with_ones(rows_seen: tf.Tensor) -> tf.Tensor:
    """Append the column of ones that stands for the offset."""
    return tf.concat([rows_seen, tf.ones([tf.shape(rows_seen)[0], 1])], axis=1)


class SamplingFlags(Protocol):
    """Flags of a learner that looks at training images."""

    @property
    def nb_smpls(self) -> int:
        """Images."""

    @property
    def nb_crops_per_smpl(self) -> int:
        """Positions of each."""


def flagged_sampler(helper: AbstractModelHelper, flags: SamplingFlags, *, seed: int) -> Sampler:
    """Make a sampler of as many training images and positions as a learner's flags say."""
    return training_sampler(
        helper, num_images=flags.nb_smpls, num_positions=flags.nb_crops_per_smpl, seed=seed
    )


def training_sampler(
    helper: AbstractModelHelper, *, num_images: int, num_positions: int, seed: int
) -> Sampler:
    """Make a sampler of a helper's training images; arguments as for `Sampler`."""

    def images(batch: Any, *_: Any) -> Any:
        return batch

    return Sampler(
        helper.build_dataset_calibration(num_images).map(images),
        num_images=num_images,
        num_positions=num_positions,
        seed=seed,
        has_classes=helper.scores_classes,
    )
