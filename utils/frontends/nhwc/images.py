"""Operators on images that are no convolutions: resizing, and blocks of pixels as channels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.nhwc.views import back, image
from utils.frontends.parts import resizing
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_ops = keras.ops


def resized(b: Building, node: SourceNode, size: tuple[int, int], method: str) -> Value:
    """Resize an image.

    What Keras' own function does not do is written out along each axis, as picked rows and shares
    of them: channels stay apart, so that they can be cut.

    Args:
        b: the network.
        node: with `align_corners` and `half_pixel_centers`.
        size: height and width of the result.
        method: "bilinear" or "nearest".
    """
    value = image(b, node, b.input(node, 0))
    tensor, order = b.channels_last(node, value)
    old = tuple(tensor.shape[1:3])
    if None in old:
        raise NotConvertible("the size of its image is open. Give it with --input_shape")
    if min(size) < 1:
        raise NotConvertible(f"its result has the size {size}")
    corners, halves = (bool(node.attrs.get(n)) for n in ("align_corners", "half_pixel_centers"))
    grows = all(new % before == 0 for new, before in zip(size, old, strict=True))
    is_usual = (halves and not corners) if method == "bilinear" else (grows and not corners)
    if is_usual:
        # Not the layer `Resizing`, see `utils.frontends.parts.resizing`.
        tensor = b.op(
            node,
            _ops.image.resize,
            tensor,
            size,
            interpolation=method,
            data_format="channels_last",
        )
    else:
        for axis, (new, before) in enumerate(zip(size, old, strict=True), start=1):
            where = places(new, before, corners, halves, method)
            tensor = _taken(b, node, tensor, axis, where)
    return back(b, node, b.result(tensor, order, like=value.axes))


def places(new: int, old: int, corners: bool, halves: bool, method: str) -> np.ndarray:
    """Say where in the old axis each entry of the new one lies, in entries of the old.

    Args:
        new: its size.
        old: its size.
        corners: the first and the last entries of both lie on each other.
        halves: entries lie in the middles of pixels.
        method: "bilinear", or "nearest": whole numbers.

    Example:
        >>> places(4, 2, False, False, "bilinear").tolist()
        [0.0, 0.5, 1.0, 1.5]
    """
    # In float32, as the sources compute it: their rounding decides which neighbor is nearest.
    steps = np.arange(new, dtype=np.float32)
    scale = np.float32((old - 1) / (new - 1) if corners and new > 1 else old / new)
    if method == "nearest":
        found = (steps + np.float32(0.5 if halves else 0.0)) * scale
        found = np.floor(found + np.float32(0.5)) if corners else np.floor(found)
        return np.clip(found, 0, old - 1)
    found = (steps + np.float32(0.5)) * scale - np.float32(0.5) if halves else steps * scale
    return np.maximum(found, 0.0)


def _taken(b: Building, node: SourceNode, tensor: Any, axis: int, where: np.ndarray) -> Any:
    """Take entries along one axis, between two neighbors in proportion."""
    last, name = int(tensor.shape[axis]) - 1, "hw"[axis - 1]
    low = np.minimum(np.floor(where).astype(np.int32), last)
    lower = b.op(node, _ops.take, tensor, low, axis=axis, suffix=f"{name}_low")
    share = (where - low).astype(np.float32)
    if not share.any():
        return lower
    upper = b.op(node, _ops.take, tensor, np.minimum(low + 1, last), axis=axis,
                 suffix=f"{name}_high")  # fmt: skip
    share = share.reshape((-1, 1, 1) if axis == 1 else (-1, 1))
    lower = b.op(node, _ops.multiply, lower, 1 - share, suffix=f"{name}_low_share")
    upper = b.op(node, _ops.multiply, upper, share, suffix=f"{name}_high_share")
    return b.layer(node, keras.layers.Add, lower, upper, suffix=f"{name}_add")


def depth_to_space(b: Building, node: SourceNode) -> Value:
    """Turn channels into blocks of `block` x `block` pixels."""
    value, block = image(b, node, b.input(node, 0)), int(node.attrs.get("block") or 0)
    return back(b, node, resizing.depth_to_space(b, node, value, block, blocks_first=True))


def space_to_depth(b: Building, node: SourceNode) -> Value:
    """Turn blocks of `block` x `block` pixels into channels."""
    value, block = image(b, node, b.input(node, 0)), int(node.attrs.get("block") or 0)
    return back(b, node, resizing.space_to_depth(b, node, value, block))
