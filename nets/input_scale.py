"""On which scale a network takes its inputs: inferred from its first layers, checked by accuracy.

Data say which value stands for white; a scale says what the network is to see of it. A wrong one is
the commonest reason why a trained network is right on nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.errors import InputError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from utils.graph import Graph

RAW = "raw"
SCALES = ("0..1", "0..255", "-1..1", "imagenet", "caffe", "standard", RAW)
"""What `--scale` takes."""

COLOR_SCALES = ("imagenet", "caffe")
"""Those of them that are for three channels."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CAFFE_MEANS = (103.939, 116.779, 123.68)  # blue, green, red
_SURE = 0.9  # an accuracy that a wrong scale does not reach
_FAR_MORE = 0.1  # of accuracy: then the user is told of another scale
# What layers at the beginning leave of the order of 1 was meant for them.
_MODEST = 8.0


@dataclasses.dataclass(frozen=True)
class Affine:
    """`x * multiply + add` per channel, after the channels are reversed where `reverse`."""

    multiply: tuple[float, ...]
    add: tuple[float, ...]
    reverse: bool = False

    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Give mean and deviation, `(x - mean) / deviation`; None where channels are reversed.

        Example:
            >>> Affine((2.0, 4.0), (-1.0, 1.0)).normalization()
            ((0.5, -0.25), (0.5, 0.25))
        """
        if self.reverse:
            return None
        pairs = tuple(zip(self.multiply, self.add, strict=True))
        return tuple(-add / multiply for multiply, add in pairs), tuple(1 / m for m, _ in pairs)

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply it to float32 inputs [batch, …, channels]."""
        import tensorflow as tf

        if self.reverse:
            inputs = tf.reverse(inputs, [-1])
        if set(self.multiply) == {1.0} and set(self.add) == {0.0}:
            return inputs
        return inputs * np.array(self.multiply, np.float32) + np.array(self.add, np.float32)


def affine(
    scale: str,
    *,
    white: float | None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Affine:
    """Make the function that brings raw inputs onto a scale.

    Args:
        scale: one of `SCALES`.
        white: the raw value that stands for white; None leaves inputs as they are.
        mean: of each channel, of inputs divided by `white`; for `standard`.
        std: likewise, the deviation.

    Example:
        >>> affine("-1..1", white=255)
        Affine(multiply=(0.00784313725490196,), add=(-1.0,), reverse=False)
    """
    if white is None or scale == RAW:
        return Affine((1.0,), (0.0,))
    if scale in ("imagenet", "standard"):
        mean, std = _IMAGENET if scale == "imagenet" else (mean, std)
        return Affine(
            tuple(1 / (white * each) for each in std),
            tuple(-m / s for m, s in zip(mean, std, strict=True)),
        )
    if scale == "caffe":
        return Affine((255 / white,) * 3, tuple(-each for each in _CAFFE_MEANS), reverse=True)
    multiply, add = {"0..1": (1.0, 0.0), "0..255": (255.0, 0.0), "-1..1": (2.0, -1.0)}[scale]
    return Affine((multiply / white,), (add,))


def candidates(
    shape: tuple[int, ...], *, white: float | None, own: str | None, as_they_are: bool
) -> tuple[str, ...]:
    """List the scales that may be meant, the likeliest first.

    Args:
        shape: of an input of the network.
        white: see `affine`.
        own: what the network's first layers tell, see `scale_of_layers`.
        as_they_are: the data are floats, which somebody has put on a scale already.

    Example:
        >>> candidates((8, 8, 1), white=16.0, own=None, as_they_are=False)
        ('0..1', '-1..1', 'standard', '0..255', 'raw')
    """
    if white is None:
        return (RAW,)
    likely = [own] if own else []
    likely += [RAW] if as_they_are else []
    color = COLOR_SCALES if len(shape) == 3 and shape[-1] == 3 else ()
    likely += ["0..1", "-1..1", *color, "standard", "0..255", RAW]
    same_as_raw = {1.0: "0..1", 255.0: "0..255"}.get(white)
    named = [same_as_raw if name == RAW and same_as_raw else name for name in likely]
    return tuple(dict.fromkeys(named))


def scale_of_layers(graph: Graph) -> str | None:
    """Tell the scale from a Rescaling or Normalization at the network's beginning.

    Args:
        graph: of the network.

    Returns:
        `0..255`, `0..1` or None where the first layers tell nothing.
    """
    for node in graph.nodes:
        name = node.op.rpartition(".")[2]
        if name == "Rescaling":
            return _scale_of(node.attrs["scale"], node.attrs.get("offset", 0.0))
        if name == "Normalization":
            given = graph.params.get(node.layer, {}).get("mean", node.attrs.get("mean"))
            return None if given is None else ("0..255" if np.max(given) > 1.5 else "0..1")
        if name not in ("InputLayer", "Resizing", "CenterCrop", "Permute", "Reshape", "Cast"):
            return None
    return None


def _scale_of(multiply: Any, add: Any) -> str:
    """Choose the range that a Rescaling brings to the order of 1."""
    reached = np.max(np.abs(255 * np.asarray(multiply) + np.asarray(add)))
    return "0..255" if reached <= _MODEST else "0..1"


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which scale was taken.

    Attributes:
        scale: one of `SCALES`.
        scores: what each scale that was tried reaches, by name.
        near_chance: whether the one taken reaches no more than guessing does.
    """

    scale: str
    scores: Mapping[str, float]
    near_chance: bool

    @property
    def better(self) -> str | None:
        """A scale on which the network is right on far more; None where there is none."""
        best = max(self.scores, key=lambda name: self.scores[name])
        return best if self.scores[best] > self.scores[self.scale] + _FAR_MORE else None


def choose(
    names: Sequence[str],
    score: Callable[[str], float],
    *,
    chance: float,
    num_samples: int,
    given: str | None = None,
    is_told: bool = False,
) -> Choice:
    """Choose a scale by what the network reaches on training samples.

    Args:
        names: candidates, the likeliest first.
        score: gives the accuracy (or share of variance explained) on a scale, in [0, 1].
        chance: what guessing reaches.
        num_samples: samples behind a score.
        given: the user's choice, which is kept.
        is_told: the network's own layers tell the first candidate.

    Returns:
        The choice. The first candidate stays unless another is right on two samples more.

    Example:
        >>> scores = {"0..1": 0.4, "-1..1": 0.9}
        >>> choose(("0..1", "-1..1"), scores.get, chance=0.1, num_samples=100).scale
        '-1..1'
        >>> choose(("0..1",), lambda _: 0.11, chance=0.1, num_samples=100).near_chance
        True
    """
    first = given or names[0]
    scores = {first: score(first)}
    sure = given is not None or is_told
    if not sure or scores[first] < _SURE:
        scores |= {name: score(name) for name in names if name != first}
    best = max(scores, key=lambda name: scores[name])
    clear = scores[best] >= scores[first] + 2 / num_samples
    clear = clear and not _near(scores[best], chance, num_samples)
    scale = best if clear and given is None else first
    return Choice(scale, scores, _near(scores[scale], chance, num_samples))


def _near(score: float, chance: float, num_samples: int) -> bool:
    """Whether a score is within two standard errors of guessing."""
    if math.isnan(score):
        return True
    error = math.sqrt(max(chance * (1 - chance), 1 / num_samples) / num_samples)
    return score <= chance + 2 * error


def input_shape(network: keras.Model) -> tuple[int, ...]:
    """Give the shape of a network's only input, without the batch.

    Raises:
        InputError: for several inputs, or open sizes.
    """
    if len(network.inputs) != 1:
        raise InputError(
            f"--data gives one input; the network has {len(network.inputs)}: "
            f"{', '.join(tensor.name for tensor in network.inputs)}. Give a my_data.py whose "
            "functions return batches, see docs/your_data.md."
        )
    shape = tuple(network.inputs[0].shape[1:])
    if None in shape:
        raise InputError(
            f"the network takes inputs of open size {shape}. Build it for one size: "
            "keras.Input((224, 224, 3)), the same weights, and save it again."
        )
    return shape
