"""Which weights stay: the last of the four axes (score, schedule, allocate, mask).

A mask is a boolean matrix [P, O] like the kernel it is for (`learners/kernels/layers.py`); True =
keep. What goes together says a `Granularity`: single weights, N of M, tiles.
"""

import dataclasses
import re
from typing import Protocol

import numpy as np

from learners.reconstruction.blocks import Blocks


class Shaped(Protocol):
    """What is asked of a layer."""

    @property
    def num_rows(self) -> int:
        """P, kernel positions times input channels."""

    @property
    def num_channels(self) -> int:
        """Input channels."""

    @property
    def num_outputs(self) -> int:
        """O."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Granularity:
    """What goes together.

    Attributes:
        text: as the user writes it.
        stay, of: N and M of N:M, along the input channels; (0, 0) = no such rule.
        outputs, inputs: size of a tile.
    """

    text: str = "element"
    stay: int = 0
    of: int = 0
    outputs: int = 1
    inputs: int = 1

    @property
    def is_pattern(self) -> bool:
        """Whether it says alone how much stays: N:M."""
        return self.of > 0

    @property
    def unit(self) -> int:
        """Weights that go together."""
        return self.outputs * self.inputs

    @property
    def ratio(self) -> float:
        """Fraction that N:M removes."""
        return 1.0 - self.stay / self.of if self.is_pattern else 0.0

    def why_not(self, layer: Shaped) -> str:
        """Say why it does not divide a layer; "" where it does."""
        along = self.of or self.inputs
        if layer.num_channels % along:
            return f"{layer.num_channels} input channels are no multiple of {along}"
        if layer.num_outputs % self.outputs:
            return f"{layer.num_outputs} outputs are no multiple of {self.outputs}"
        return ""

    def blocks(self, layer: Shaped) -> Blocks:
        """Give the blocks that the elimination kernel takes out of a layer."""
        if self.is_pattern:
            return Blocks.n_of_m(layer.num_rows, layer.num_channels, stay=self.stay, of=self.of)
        return Blocks.tiles(
            layer.num_rows, layer.num_channels, height=self.inputs, width=self.outputs
        )


ELEMENT = Granularity()


def parse_granularity(text: str) -> Granularity:
    """Read `element`, N:M such as `2:4`, or a tile of outputs x inputs such as `1x4`.

    Raises:
        ValueError: says what is allowed.

    Example:
        >>> parse_granularity("2:4").ratio, parse_granularity("4x1").outputs
        (0.5, 4)
    """
    found = re.fullmatch(r"(\d{1,4})([:x])(\d{1,4})", text)
    if text == "element":
        return ELEMENT
    if found:
        first, sign, second = int(found[1]), found[2], int(found[3])
        if sign == ":" and 1 <= first < second:
            return Granularity(text=text, stay=first, of=second)
        if sign == "x" and first >= 1 and second >= 1 and first * second > 1:
            return Granularity(text=text, outputs=first, inputs=second)
    raise ValueError(
        "must be element, N:M with N < M (2:4: of every four neighbouring input channels two "
        "stay), or OUTPUTSxINPUTS of a tile (1x4, 4x1, 16x1)."
    )


def make_mask(
    scores: np.ndarray, num_left: int, granularity: Granularity = ELEMENT, num_channels: int = 0
) -> np.ndarray:
    """Mark what stays: the highest scores.

    A tile counts as the sum of its scores. Under N:M the best N of every M always stay; of the
    others the worst go, until `num_left` are left. Equal scores: the lower index stays.

    Args:
        scores: float [P, O], at least 0.
        num_left: weights that stay, in [0, P O]; of tiles a multiple of their size; under N:M it
            may be that more stay.
        granularity: what goes together; it divides the layer.
        num_channels: input channels; needed for N:M and tiles.

    Returns:
        Boolean [P, O]; True = keep.

    Raises:
        ValueError: if `num_left` is out of range.

    Example:
        >>> scores = np.array([[0.1, 0.9], [0.2, 0.5], [0.3, 0.1], [0.4, 0.0]])
        >>> make_mask(scores, 3).astype(int).ravel()
        array([0, 1, 0, 1, 0, 0, 1, 0])
        >>> make_mask(scores, 4, parse_granularity("2:4"), 4).astype(int).ravel()
        array([0, 1, 0, 1, 1, 0, 1, 0])
        >>> make_mask(scores, 4, parse_granularity("1x2"), 4).astype(int).ravel()
        array([0, 1, 0, 1, 1, 0, 1, 0])
    """
    if not 0 <= num_left <= scores.size:
        raise ValueError(f"`num_left` must be in [0, {scores.size}]. Received: {num_left}.")
    if granularity.is_pattern:
        return _n_of_m(scores, num_left, granularity)
    if granularity.unit == 1:
        return largest(scores, num_left)
    height, width = granularity.inputs, granularity.outputs
    tiles = scores.reshape(scores.shape[0] // height, height, scores.shape[1] // width, width)
    kept = largest(tiles.sum(axis=(1, 3)), num_left // granularity.unit)
    return np.repeat(np.repeat(kept, height, axis=0), width, axis=1)


def largest(scores: np.ndarray, number: int) -> np.ndarray:
    """Mark the `number` largest entries; equal ones by flat index, the lower first.

    Example:
        >>> largest(np.array([0.5, 0.1, 0.5, 0.5]), 2)
        array([ True, False,  True, False])
    """
    flat = scores.ravel()
    if number in (0, flat.size):
        return np.full(scores.shape, number > 0)
    # Linear; a full sort takes many times as long.
    threshold = np.partition(flat, flat.size - number)[flat.size - number]
    mask = flat > threshold
    tied = np.flatnonzero(flat == threshold)
    mask[tied[: number - np.count_nonzero(mask)]] = True
    return mask.reshape(scores.shape)


def _n_of_m(scores: np.ndarray, num_left: int, granularity: Granularity) -> np.ndarray:
    groups = scores.reshape(-1, granularity.of, scores.shape[1])
    order = np.argsort(-groups, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1)  # of each weight in its group
    always = (ranks < granularity.stay).reshape(scores.shape)
    num_always = int(np.count_nonzero(always))
    if num_left <= num_always:
        return always
    others = np.where(always, -1.0, scores)
    return always | largest(others, num_left - num_always)
