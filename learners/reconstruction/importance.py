"""How much an error at a place of a layer's output changes what the network gives.

An error e in a layer's output moves the network's outputs by J e, J the Jacobian. With r random of
unit variance, the gradient g of r^T outputs has E[g g^T] = J^T J: one backward pass says of every
place how much an error there counts, to first order. Least squares that is shared by all outputs of
a layer takes one weight for each row, so g^2 is replaced by the product of its means over outputs
(a weight for each row: an image at a position) and over rows (one for each output).

Reference:
    Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix", 1990; Dong et al.,
    "HAWQ-V2", NeurIPS 2020, arXiv:1911.03852. The product is as in Martens & Grosse, "Optimizing
    Neural Networks with Kronecker-factored Approximate Curvature", ICML 2015, arXiv:1503.05671.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.multi_gpu_wrapper import MultiGpuWrapper
from utils.shards import Shard
from utils.traced import traced

FLOOR = 0.1  # of a mean row's weight, which every row has at least


@dataclasses.dataclass(frozen=True, eq=False)
class Importance:
    """What errors of one layer count.

    Attributes:
        rows: for each batch of this worker float32 [rows], mean 1 over all of all workers, at
            least `FLOOR`.
        outputs: float64 [O], what a unit of error in each output counts: the root of mean squares.
    """

    rows: Sequence[np.ndarray]
    outputs: np.ndarray


Cut = Callable[[tf.Tensor, Any, tf.Tensor], tf.Tensor]
"""(map of a layer's output, images, number of the batch) -> its values at the sampled places."""


def importance(
    model: keras.Model, cuts: Mapping[str, Cut], part: Shard, *, seed: int
) -> dict[str, Importance]:
    """Run the images backward once.

    Args:
        model: network inputs -> the layers' outputs in order, then the network's.
        cuts: layer -> gives the sampled places of its output map.
        part: this worker's images.
        seed: of r.

    Returns:
        Layer -> what its errors count.
    """

    @traced
    def squares(images: Any, number: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            maps = keras.tree.flatten(model(images, training=False))
            total = tf.add_n(
                [
                    tf.reduce_sum(_directions(each, seed, number, place) * each)
                    for place, each in enumerate(_in_float(maps[len(cuts) :]))
                ]
            )
        slopes = tape.gradient(
            total, maps[: len(cuts)], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        pairs = zip(cuts.values(), slopes, strict=True)
        # In float32: squares of float16 would be beyond its range.
        return [tf.square(cut(tf.cast(slope, tf.float32), images, number)) for cut, slope in pairs]

    sums: dict[str, list[np.ndarray]] = {name: [] for name in cuts}
    outputs: dict[str, Any] = dict.fromkeys(cuts, 0.0)
    with part.workers.failing_together():
        for number, images in part.numbered():
            for name, found in zip(cuts, squares(images, tf.constant(number)), strict=True):
                sums[name].append(found.numpy().sum(axis=1))
                outputs[name] = outputs[name] + found.numpy().sum(axis=0, dtype=np.float64)
    return {name: _of(sums[name], outputs[name], part.workers) for name in cuts}


def _in_float(outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Give outputs of any type as float32; those of whole numbers pass no gradient on."""
    return [tf.cast(each, tf.float32) for each in outputs]


def _directions(outputs: tf.Tensor, seed: int, number: tf.Tensor, place: int) -> tf.Tensor:
    """Draw r; what all outputs have in common moves no decision between them."""
    key = tf.random.experimental.stateless_fold_in(tf.constant([seed, place]), number)
    drawn = tf.random.stateless_normal(tf.shape(outputs), key)
    if outputs.shape[-1] == 1:
        return drawn
    return drawn - tf.reduce_mean(drawn, axis=-1, keepdims=True)


def _of(sums: Sequence[np.ndarray], outputs: np.ndarray, workers: MultiGpuWrapper) -> Importance:
    own = [sum(part.size for part in sums), sum(float(part.sum()) for part in sums)]
    (num_rows, total), outputs = workers.sum_arrays([np.array(own, np.float64), outputs])
    mean = total / max(num_rows, 1)
    if mean <= 0.0:  # nothing behind the layer depends on it, as far as the images show
        return Importance([np.ones(part.size, np.float32) for part in sums], np.ones(outputs.size))
    rows = [(FLOOR + (1.0 - FLOOR) * part / mean).astype(np.float32) for part in sums]
    return Importance(rows, np.sqrt(outputs / num_rows))
