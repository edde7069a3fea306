"""Arithmetic of sliding windows: padding, output sizes, how many positions a window counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from utils.frontends.source import NotConvertible, check_size

Pads = tuple[tuple[int, int], ...]
_MAX_PAD = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windows:
    """How windows lie over the positions of a tensor; one entry per spatial axis.

    Attributes:
        sizes: of the input, stand-ins where open.
        is_open: whether a size is known only when the network runs.
        kernel: size of the window.
        strides: steps between windows.
        dilations: steps between the taps of a window.
        pads: positions added before and after.
        ceil: whether a last window that reaches over the end counts.
    """

    sizes: tuple[int, ...]
    is_open: tuple[bool, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pads
    ceil: bool = False

    def __post_init__(self) -> None:
        lengths = {len(self.kernel), len(self.strides), len(self.dilations), len(self.pads)}
        if lengths != {len(self.sizes)}:
            raise NotConvertible(f"its window settings do not fit {len(self.sizes)} spatial axes")
        if min((*self.kernel, *self.strides, *self.dilations)) < 1:
            raise NotConvertible("its kernel, strides and dilations must be positive")
        if any(abs(pad) > _MAX_PAD for pair in self.pads for pad in pair):
            raise NotConvertible(f"pads by more than {_MAX_PAD:,} positions")

    @property
    def reach(self) -> tuple[int, ...]:
        """Extent of a window, gaps between taps included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Number of windows along each axis.

        Example:
            >>> base = dict(is_open=(False,), kernel=(3,), dilations=(1,), strides=(2,))
            >>> Windows(sizes=(6,), pads=((0, 0),), **base).outputs
            (2,)
            >>> Windows(sizes=(6,), pads=((0, 0),), ceil=True, **base).outputs
            (3,)
        """
        found = []
        for size, reach, stride, (before, after) in zip(
            self.sizes, self.reach, self.strides, self.pads, strict=True
        ):
            room = size + before + after - reach
            if room < 0:
                raise NotConvertible(f"its window of {reach} is larger than its input of {size}")
            count = room // stride + 1
            if self.ceil and room % stride and count * stride < size + before:
                count += 1  # the window that starts in the input or the padding before it
            found.append(count)
        return tuple(found)

    def is_same(self) -> bool:
        """Whether the padding is TensorFlow's "same"."""
        return self.needed_pads() == same_pads(self)

    def needed_pads(self) -> Pads:
        """Padding such that windows that do not reach over the end are all there are.

        Raises:
            NotConvertible: if it depends on a size that is open.
        """
        if not self.ceil:
            return self.pads
        found = []
        for axis, (before, after) in enumerate(self.pads):
            needed = (self.outputs[axis] - 1) * self.strides[axis] + self.reach[axis]
            extra = needed - self.sizes[axis] - before
            if self.is_open[axis] and (self.strides[axis] > 1):
                raise NotConvertible(
                    "its ceil mode depends on a size that is open. Give the input's size with "
                    "--input_shape."
                )
            found.append((before, max(after, extra)))
        return tuple(found)


def same_pads(windows: Windows) -> Pads | None:
    """TensorFlow's "same" padding; None where it depends on a size that is open.

    Example:
        >>> same_pads(Windows(sizes=(6, 5), is_open=(False, False), kernel=(3, 3), strides=(2, 2),
        ...     dilations=(1, 1), pads=((0, 0), (0, 0))))
        ((0, 1), (1, 1))
    """
    found = []
    for size, is_open, reach, stride in zip(
        windows.sizes, windows.is_open, windows.reach, windows.strides, strict=True
    ):
        if is_open and stride > 1:
            return None
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def counts(windows: Windows, counts_padding: bool) -> list[np.ndarray]:
    """For each axis, how many positions each window averages over.

    Args:
        windows: of the pooling.
        counts_padding: whether positions of the padding count; those beyond it never do.

    Returns:
        A float array per axis, as long as there are windows.

    Example:
        >>> counts(Windows(sizes=(4,), is_open=(False,), kernel=(3,), strides=(2,),
        ...     dilations=(1,), pads=((1, 1),)), counts_padding=False)
        [array([2., 3.])]
    """
    found = []
    for axis, (before, after) in enumerate(windows.pads):
        check_size((windows.outputs[axis],))
        starts = np.arange(windows.outputs[axis]) * windows.strides[axis] - before
        low, high = (-before, windows.sizes[axis] + after) if counts_padding else (0, None)
        ends = np.minimum(starts + windows.kernel[axis], high or windows.sizes[axis])
        found.append((ends - np.maximum(starts, low)).astype(np.float64))
    return found


def automatic_pads(mode: str, windows: Windows) -> Pads:
    """Padding that ONNX' `auto_pad` stands for.

    Args:
        mode: `SAME_UPPER`, `SAME_LOWER`, `VALID` or `NOTSET`.
        windows: with the explicit padding, which `NOTSET` keeps.

    Returns:
        The padding.

    Raises:
        NotConvertible: if the mode is unknown or the sizes are open.
    """
    if mode in ("", "NOTSET"):
        return windows.pads
    if mode == "VALID":
        return ((0, 0),) * len(windows.sizes)
    same = same_pads(windows)
    if mode not in ("SAME_UPPER", "SAME_LOWER") or same is None:
        raise NotConvertible(f"its padding {mode!r} cannot be worked out for sizes that are open")
    return same if mode == "SAME_UPPER" else tuple((after, before) for before, after in same)


def pairs(flat: Sequence[int]) -> Pads:
    """ONNX' list of pads, all begins and then all ends, as pairs.

    Example:
        >>> pairs([1, 2, 3, 4])
        ((1, 3), (2, 4))
    """
    half = len(flat) // 2
    return tuple((int(flat[axis]), int(flat[half + axis])) for axis in range(half))
