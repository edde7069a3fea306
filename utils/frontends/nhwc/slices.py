"""Strided slices as TensorFlow writes them: begin, end, strides, five masks with a bit for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from utils.frontends.source import NotConvertible, SourceNode

_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


@dataclasses.dataclass(frozen=True)
class Strided:
    """What a strided slice does to a tensor.

    Attributes:
        slices: one per axis of the tensor.
        shape: of the result, axes dropped and put in.
    """

    slices: tuple[slice, ...]
    shape: tuple[int, ...]


def strided(node: SourceNode, shape: Sequence[int], bounds: Sequence[np.ndarray]) -> Strided:
    """Resolve a strided slice against a shape.

    Args:
        node: has the masks.
        shape: of the tensor that is cut.
        bounds: begin, end and strides, as long as each other.

    Raises:
        NotConvertible: if they do not fit the shape.
    """
    masks = {name: int(node.attrs.get(name) or 0) for name in _MASKS}
    begin, end, step = (np.asarray(each).reshape(-1).astype(np.int64) for each in bounds)
    if not len(begin) == len(end) == len(step) or (step == 0).any():
        raise NotConvertible(f"its bounds are {begin}, {end}, {step}")
    count = len(begin)
    bit = lambda name, i: bool(masks[name] >> i & 1)  # noqa: E731
    dense = sum(not bit("new_axis_mask", i) and not bit("ellipsis_mask", i) for i in range(count))
    slices: list[slice] = []
    sizes: list[int] = []

    def keep(number: int) -> None:
        for _ in range(number):
            sizes.append(int(shape[len(slices)]))
            slices.append(slice(None))

    if dense > len(shape):
        raise NotConvertible(f"cuts {dense} axes of a tensor of {len(shape)}")
    for i in range(count):
        if bit("ellipsis_mask", i):
            keep(len(shape) - dense)
        elif bit("new_axis_mask", i):
            sizes.append(1)
        else:
            size = int(shape[len(slices)])
            if bit("shrink_axis_mask", i):
                place = int(begin[i]) + (size if begin[i] < 0 else 0)
                if not 0 <= place < size:
                    raise NotConvertible(f"takes entry {begin[i]} of an axis of {size}")
                slices.append(slice(place, place + 1))
                continue
            first = None if bit("begin_mask", i) else int(begin[i])
            last = None if bit("end_mask", i) else int(end[i])
            slices.append(slice(first, last, int(step[i])))
            sizes.append(len(range(size)[slices[-1]]))
    keep(len(shape) - len(slices))
    return Strided(tuple(slices), tuple(sizes))
