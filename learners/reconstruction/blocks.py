"""What goes together when a kernel is thinned out or rounded, and how much must stay.

A layer's kernel is a matrix [P, O]: a row for each input of the linear map (for a convolution the
rows of its HWIO kernel, position after position, channels within), a column for each output. A
*block* is a set of rows, which goes from `width` outputs at once; these outputs are a *team*.

| pruned are | rows of a block | width |
|:--|:--|:--|
| input channels | those of the channel, at all positions | all outputs |
| single weights | one | 1 |
| N of M | one; of every M along the input channels N stay | 1 |
| tiles | `height` neighbours along the input channels | `width` |
"""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Blocks:
    """Which rows go together, for which outputs, and what must stay.

    Attributes:
        rows: int [P], the block of each kernel row; -1 = never goes.
        num_blocks: B, number of blocks; one without rows costs nothing.
        width: outputs that lose a block together.
        groups: int [B], the group of each block that the rule `num_left` is about; None = all in
            one.
        num_left: blocks that stay in every group, at the least.

    Raises:
        ValueError: if an index or a size is out of range.
    """

    rows: np.ndarray
    num_blocks: int
    width: int = 1
    groups: np.ndarray | None = None
    num_left: int = 0

    def __post_init__(self) -> None:
        if self.width < 1 or self.num_left < 0:
            raise ValueError(
                "`width` must be at least 1 and `num_left` at least 0. "
                f"Received: width={self.width}, num_left={self.num_left}."
            )
        if self.rows.size and not -1 <= self.rows.min() <= self.rows.max() < self.num_blocks:
            raise ValueError(
                f"`rows` must be in [-1, {self.num_blocks}). "
                f"Received: {self.rows.min()} to {self.rows.max()}."
            )
        groups = self.group_of
        if groups.shape != (self.num_blocks,) or groups.min(initial=0) < 0:
            raise ValueError(
                f"`groups` must be int [{self.num_blocks}], at least 0. Received: {groups}."
            )

    @classmethod
    def channels(cls, rows: np.ndarray, num_channels: int, num_outputs: int) -> "Blocks":
        """Input channels, which all outputs lose: `rows` as `row_channels` gives them."""
        return cls(rows, num_channels, width=num_outputs)

    @classmethod
    def single(cls, num_rows: int) -> "Blocks":
        """Single weights, each output in an order of its own."""
        return cls(np.arange(num_rows), num_rows)

    @classmethod
    def n_of_m(cls, num_rows: int, num_channels: int, *, stay: int, of: int) -> "Blocks":
        """Single weights, of which in every `of` neighbouring input channels `stay` remain.

        Args:
            num_rows: P, kernel positions times input channels.
            num_channels: input channels, a multiple of `of`.
            stay: N of N:M, in [1, of].
            of: M.

        Example:
            >>> Blocks.n_of_m(8, 4, stay=2, of=4).groups
            array([0, 0, 0, 0, 1, 1, 1, 1])

        Raises:
            ValueError: if the rule does not fit the channels.
        """
        if not 1 <= stay <= of:
            raise ValueError(f"`stay` must be in [1, of={of}]. Received: {stay}.")
        _check_divides(num_rows, num_channels, of)
        return cls(np.arange(num_rows), num_rows, groups=np.arange(num_rows) // of, num_left=stay)

    @classmethod
    def tiles(cls, num_rows: int, num_channels: int, *, height: int, width: int) -> "Blocks":
        """Tiles of `height` neighbouring input channels times `width` neighbouring outputs.

        Args:
            num_rows: P, kernel positions times input channels.
            num_channels: input channels, a multiple of `height`.
            height: along the input channels.
            width: along the outputs.

        Example:
            >>> Blocks.tiles(8, 4, height=2, width=1).rows
            array([0, 0, 1, 1, 2, 2, 3, 3])

        Raises:
            ValueError: if the tiles do not fit the channels.
        """
        _check_divides(num_rows, num_channels, height)
        return cls(np.arange(num_rows) // height, num_rows // height, width=width)

    @functools.cached_property
    def group_of(self) -> np.ndarray:
        """Group of each block, int [B]."""
        return np.zeros(self.num_blocks, dtype=int) if self.groups is None else self.groups

    @property
    def are_single(self) -> bool:
        """Whether each block is one weight of one output, row for row."""
        return self.width == 1 and np.array_equal(self.rows, np.arange(self.num_blocks))

    @functools.cached_property
    def max_gone(self) -> int:
        """Blocks that may go from a team, at the most."""
        sizes = np.bincount(self.group_of, minlength=1)
        return int(np.maximum(sizes - self.num_left, 0).sum())

    @functools.cached_property
    def members(self) -> np.ndarray:
        """Rows of each block, int [B, c]; shorter ones are filled up with -1."""
        order = np.argsort(self.rows, kind="stable")
        order = order[self.rows[order] >= 0]
        blocks = self.rows[order]
        sizes = np.bincount(blocks, minlength=self.num_blocks)
        slots = np.arange(order.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        members = np.full((self.num_blocks, max(1, sizes.max(initial=0))), -1)
        members[blocks, slots] = order
        return members


def _check_divides(num_rows: int, num_channels: int, size: int) -> None:
    if num_channels < 1 or num_rows % num_channels:
        raise ValueError(
            f"`num_channels` must divide the number of rows, {num_rows}. Received: {num_channels}."
        )
    if size < 1 or num_channels % size:
        raise ValueError(
            f"A size along the input channels must divide their number, {num_channels}. "
            f"Received: {size}."
        )
