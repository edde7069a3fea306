"""Sampling what reading layers see: im2col rows at random output positions, summed to moments.

For a layer that reads channels, rows X come from the network as pruned so far and targets `Y = X0 W`
from the same images and positions in the network before pruning (X0: the rows there, W: its kernel).
Both go straight into `LayerStatistics`, one batch at a time.
"""

import dataclasses
from collections.abc import Iterable, Sequence
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
        strides, dilation: of the convolution, (height, width).
        same: zero padding as in `padding="same"`.
    """

    kernel_size: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    same: bool = False

    @classmethod
    def of(cls, node: Node) -> "ReadingLayer | None":
        """Describe a graph node, None where it is not a plain convolution or Dense layer."""
        attrs = node.attrs
        kind = node.op.rpartition(".")[2]
        if kind == "Dense":
            return cls()
        if kind != "Conv2D" or attrs.get("groups", 1) != 1:
            return None
        if attrs.get("data_format") == "channels_first":
            return None
        return cls(
            tuple(attrs["kernel_size"]),
            tuple(attrs["strides"]),
            tuple(attrs["dilation_rate"]),
            attrs["padding"] == "same",
        )

    def reach(self) -> tuple[int, int]:
        """Height and width of the input window of one output position."""
        return tuple(
            (size - 1) * step + 1 for size, step in zip(self.kernel_size, self.dilation, strict=True)
        )

    def rows(self, maps: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Cut the rows at given output positions out of input maps.

        Args:
            maps: float32 [B, H, W, C], or [B, C] / [B, ..., C] for a Dense layer.
            positions: float32 [B, K, 2] in [0, 1): where among the outputs (row, column).

        Returns:
            float32 [B * K', kernel positions * C]; K' = 1 where the layer has one output position.
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
        reach, strides = tf.constant(self.reach(), tf.int32), tf.constant(self.strides, tf.int32)
        if not self.same:
            return maps, (size - reach) // strides + 1
        outputs = (size + strides - 1) // strides
        total = tf.maximum((outputs - 1) * strides + reach - size, 0)
        before = total // 2
        pads = tf.stack([[0, 0], [before[0], total[0] - before[0]],
                         [before[1], total[1] - before[1]], [0, 0]])
        return tf.pad(maps, pads), outputs

    def _gather(self, maps: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
        window = np.stack(
            np.meshgrid(
                np.arange(self.kernel_size[0]) * self.dilation[0],
                np.arange(self.kernel_size[1]) * self.dilation[1],
                indexing="ij",
            ),
            axis=-1,
        ).reshape(-1, 2)
        places = corner[:, :, None, :] + tf.constant(window, tf.int32)  # [B, K, kh * kw, 2]
        patches = tf.gather_nd(maps, places, batch_dims=1)  # [B, K, kh * kw, C]
        return tf.reshape(patches, [-1, window.shape[0] * maps.shape[-1]])


class Sampler:
    """Accumulates the moments of reading layers over a stream of images.

    Args:
        batches: finite iterable of images float32 [B, H, W, C], the same at every pass.
        num_positions: output positions taken from each image (`cpr_nb_crops_per_smpl`).
        seed: the positions are a function of (seed, layer, batch).
    """

    def __init__(self, batches: Iterable[Any], *, num_positions: int, seed: int) -> None:
        self._batches = batches
        self._num_positions = num_positions
        self._seed = seed

    def statistics(
        self,
        layers: Sequence[ReadingLayer],
        pruned: keras.Model,
        original: keras.Model,
        kernels: Sequence[np.ndarray],
    ) -> list[LayerStatistics]:
        """Sum up the moments of several layers in one pass.

        Args:
            layers: how each layer reads its input.
            pruned: network inputs -> list of the layers' inputs, in the network as pruned so far.
            original: the same in the network before pruning.
            kernels: float32 [P, O] of each layer before pruning.

        Returns:
            One `LayerStatistics` per layer.
        """
        weights = [tf.constant(kernel, tf.float32) for kernel in kernels]

        @tf.function(reduce_retracing=True)
        def moments(images: tf.Tensor, batch: tf.Tensor) -> list[tuple[tf.Tensor, ...]]:
            seen = _as_list(pruned(images, training=False))
            wanted = _as_list(original(images, training=False))
            results = []
            for index, layer in enumerate(layers):
                positions = tf.random.stateless_uniform(
                    [tf.shape(images)[0], self._num_positions, 2],
                    seed=tf.stack([self._seed, batch * len(layers) + index]),
                )
                rows = layer.rows(seen[index], positions)
                rows = tf.concat([rows, tf.ones([tf.shape(rows)[0], 1])], axis=1)
                target = layer.rows(wanted[index], positions) @ weights[index]
                results.append((
                    tf.matmul(rows, rows, transpose_a=True),
                    tf.matmul(rows, target, transpose_a=True),
                    tf.reduce_sum(target * target, axis=0),
                ))
            return results

        totals = [LayerStatistics.empty(*kernel.shape) for kernel in kernels]
        for number, images in enumerate(self._batches):
            parts = moments(images, tf.constant(number))
            totals = [
                total + LayerStatistics(*(np.asarray(array, np.float64) for array in part))
                for total, part in zip(totals, parts, strict=True)
            ]
        return totals


def _as_list(outputs: Any) -> list[tf.Tensor]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
