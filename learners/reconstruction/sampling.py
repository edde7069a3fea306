"""Sampling what reading layers see: im2col rows at random output positions, summed to moments.

For a layer that reads channels, rows X come from the network as pruned so far, and targets
`Y = X0 W` from the same images and positions in the network before pruning (X0: the rows there, W:
its kernel).
Targets of many layers come from one pass over the images; they are small (positions times output
channels) and wait in memory. Rows are wide and never held: they go straight into `LayerStatistics`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from learners.reconstruction.statistics import LayerStatistics
from utils.graph import Node


@dataclasses.dataclass(frozen=True)
class ReadingLayer:
    """How a layer turns its input map into rows.

    Attributes:
        kernel_size: (height, width) of the kernel; (1, 1) for Dense.
        strides: of the convolution, (height, width).
        dilation: of the convolution, (height, width).
        same: zero padding as in `padding="same"`.
    """

    kernel_size: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    same: bool = False

    @classmethod
    def of(cls, node: Node) -> "ReadingLayer | None":
        """Describe a graph node, None where it is not a plain convolution, Dense or recurrent."""
        attrs = node.attrs
        kind = node.op.rpartition(".")[2]
        if kind in _MATRICES:
            return cls()
        if kind != "Conv2D" or attrs.get("groups", 1) != 1:
            return None
        if attrs.get("data_format") == "channels_first":
            return None
        return cls(
            _pair(attrs["kernel_size"]),
            _pair(attrs["strides"]),
            _pair(attrs["dilation_rate"]),
            attrs["padding"] == "same",
        )

    @property
    def num_positions(self) -> int:
        """Spatial positions of the kernel."""
        return self.kernel_size[0] * self.kernel_size[1]

    @property
    def reach(self) -> tuple[int, int]:
        """Height and width of the input window of one output position."""
        return (
            (self.kernel_size[0] - 1) * self.dilation[0] + 1,
            (self.kernel_size[1] - 1) * self.dilation[1] + 1,
        )

    def rows(self, maps: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Cut the rows at given output positions out of input maps.

        Args:
            maps: float32 [B, H, W, C], or [B, C] / [B, ..., C] for a Dense layer.
            positions: float32 [B, K, 2] in [0, 1): where among the outputs (row, column).

        Returns:
            float32 [B * K, kernel positions * C]; [B, C] for maps without positions.
        """
        if maps.shape.rank == 2:
            return maps
        if maps.shape.rank != 4:
            maps = tf.reshape(maps, [tf.shape(maps)[0], 1, -1, maps.shape[-1]])
        maps, outputs = self._padded(maps)
        corner = tf.cast(positions * tf.cast(outputs, tf.float32), tf.int32)
        corner = tf.minimum(corner, outputs - 1) * tf.constant(self.strides, tf.int32)
        return self._gather(maps, corner)

    def _padded(self, maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = tf.shape(maps)[1:3]
        reach, strides = tf.constant(self.reach, tf.int32), tf.constant(self.strides, tf.int32)
        if not self.same:
            return maps, (size - reach) // strides + 1
        outputs = (size + strides - 1) // strides
        total = tf.maximum((outputs - 1) * strides + reach - size, 0)
        before = total // 2  # as TensorFlow's "same": the odd pixel goes after
        pads = tf.pad(tf.stack([before, total - before], axis=1), [[1, 1], [0, 0]])
        return tf.pad(maps, pads), outputs

    def _gather(self, maps: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
        rows, columns = np.meshgrid(
            np.arange(self.kernel_size[0]) * self.dilation[0],
            np.arange(self.kernel_size[1]) * self.dilation[1],
            indexing="ij",
        )
        window = np.stack([rows, columns], axis=-1).reshape(-1, 2)
        places = corner[:, :, None, :] + tf.constant(window, tf.int32)  # [B, K, kh * kw, 2]
        patches = tf.gather_nd(maps, places, batch_dims=1)  # [B, K, kh * kw, C]
        return tf.reshape(patches, [-1, window.shape[0] * tf.shape(maps)[-1]])


@dataclasses.dataclass(frozen=True)
class BranchTarget:
    """What a layer at the end of a residual branch should give so that the *sum* is as before.

    With `sum = scale * (output - mean) + beta + shortcut`, where scale, mean and beta are those of
    the batch norm behind the layer (1, 0 and the bias without one), the target is
    `(sum before pruning - beta - shortcut now) / scale + mean`: the branch makes up for the error
    of its shortcut. Outputs whose scale is (nearly) 0 keep their own target.

    Attributes:
        inverse_scale: float32 [O], 1 / scale, 0 where the scale is too small.
        shift: float32 [O], mean - beta / scale.
    """

    inverse_scale: np.ndarray
    shift: np.ndarray


@dataclasses.dataclass(frozen=True)
class Sampled:
    """One layer to sample.

    Attributes:
        key: distinguishes the layers' random positions.
        layer: how it reads its input.
        kernel: float32 [P, O], its kernel before pruning, as a matrix.
        branch: set where its target is that of a residual sum.
    """

    key: int
    layer: ReadingLayer
    kernel: np.ndarray
    branch: BranchTarget | None = None


class Sampler:
    """Samples layers over a stream of images.

    Args:
        batches: finite iterable of images float32 [B, H, W, C], the same at every pass.
        num_images: images in it.
        num_positions: output positions taken from each image and layer.
        seed: the positions are a function of (seed, layer's key, batch).
    """

    def __init__(
        self, batches: Iterable[Any], *, num_images: int, num_positions: int, seed: int
    ) -> None:
        self.batches = batches
        self.num_images = num_images
        self.num_positions = num_positions
        self._seed = seed

    def _positions(self, images: Any, key: int, batch: tf.Tensor) -> tf.Tensor:
        seed = tf.random.experimental.stateless_fold_in(tf.constant([self._seed, key]), batch)
        size = tf.shape(keras.tree.flatten(images)[0])[0]
        return tf.random.stateless_uniform([size, self.num_positions, 2], seed=seed)

    def targets(self, layers: Sequence[Sampled], model: keras.Model) -> list[list[np.ndarray]]:
        """Compute the outputs that layers should go on giving, in one pass.

        Args:
            layers: the layers.
            model: network inputs -> the layers' inputs in order, then the sums of those with a
                `branch`, before pruning.

        Returns:
            For each layer a list of float32 [rows, O], one per batch.
        """

        @tf.function(reduce_retracing=True)
        def outputs(images: Any, batch: tf.Tensor) -> list[tf.Tensor]:
            maps = keras.tree.flatten(model(images, training=False))
            sums = iter(maps[len(layers) :])
            return [
                self._target(item, seen, sums, self._positions(images, item.key, batch))
                for item, seen in zip(layers, maps[: len(layers)], strict=True)
            ]

        found: list[list[np.ndarray]] = [[] for _ in layers]
        for number, images in enumerate(self.batches):
            for rows, target in zip(found, outputs(images, tf.constant(number)), strict=True):
                rows.append(target.numpy())
        return found

    @staticmethod
    def _target(
        item: Sampled, maps: tf.Tensor, sums: Iterator[tf.Tensor], positions: tf.Tensor
    ) -> tf.Tensor:
        own = item.layer.rows(maps, positions) @ tf.constant(item.kernel, tf.float32)
        if item.branch is None:
            return own
        inverse = tf.constant(item.branch.inverse_scale, tf.float32)
        wanted = _PIXEL.rows(next(sums), positions) * inverse + item.branch.shift
        return tf.where(inverse == 0.0, own, wanted)

    def statistics(
        self,
        item: Sampled,
        model: Callable[..., Sequence[tf.Tensor]],
        batches: Iterable[Any],
        targets: Sequence[np.ndarray],
    ) -> LayerStatistics:
        """Sum up a layer's moments.

        Args:
            item: the layer.
            model: a batch -> the layer's input (and, with a `branch`, the shortcut) in the network
                as pruned so far.
            batches: the images in the same order, or what stands for them (`frontier.py`).
            targets: the layer's entry of `targets`.

        Returns:
            The moments over all batches.
        """

        @tf.function(reduce_retracing=True)
        def moments(images: Any, batch: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, ...]:
            positions = self._positions(images, item.key, batch)
            maps = model(images)
            rows = item.layer.rows(maps[0], positions)
            if item.branch is not None:
                target -= _PIXEL.rows(maps[1], positions) * item.branch.inverse_scale
            rows = tf.concat([rows, tf.ones([tf.shape(rows)[0], 1])], axis=1)
            return (
                tf.matmul(rows, rows, transpose_a=True),
                tf.matmul(rows, target, transpose_a=True),
                tf.reduce_sum(target * target, axis=0),
            )

        total = LayerStatistics.empty(*item.kernel.shape)
        for number, (images, target) in enumerate(zip(batches, targets, strict=True)):
            parts = moments(images, tf.constant(number), tf.constant(target))
            total += LayerStatistics(*(part.numpy().astype(np.float64) for part in parts))
        return total

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

        @tf.function(reduce_retracing=True)
        def moments(images: Any, batch: tf.Tensor) -> list[tf.Tensor]:
            maps = keras.tree.flatten(model(images, training=False))
            found = []
            for item, seen in zip(layers, maps, strict=True):
                rows = item.layer.rows(seen, self._positions(images, item.key, batch))
                rows = tf.concat([rows, tf.ones([tf.shape(rows)[0], 1])], axis=1)
                found.append(tf.matmul(rows, rows, transpose_a=True))
            return found

        totals = [np.zeros([item.kernel.shape[0] + 1] * 2) for item in layers]
        for number, images in enumerate(self.batches):
            for total, part in zip(totals, moments(images, tf.constant(number)), strict=True):
                total += part.numpy()
        return [
            LayerStatistics.of_kernel(total, item.kernel)
            for total, item in zip(totals, layers, strict=True)
        ]


# Layers whose kernels read the last axis, at every place or time step alike.
_MATRICES = ("Dense", "SimpleRNN", "GRU", "LSTM", "Bidirectional")
_PIXEL = ReadingLayer()  # one position of a map, all its channels


def _pair(values: Sequence[int]) -> tuple[int, int]:
    height, width = values
    return int(height), int(width)
