"""Operators on images that are no convolutions: resizing, and blocks of pixels as channels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.nhwc.weighted import image
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_ops = keras.ops


def resized(b: Building, node: SourceNode, size: tuple[int, int], method: str) -> Value:
    """Resize an image.

    Args:
        b: the network.
        node: with `align_corners` and `half_pixel_centers`.
        size: height and width of the result.
        method: "bilinear" or "nearest".
    """
    tensor, order = image(b, node)
    old = tuple(tensor.shape[1:3])
    if None in old:
        raise NotConvertible("the size of its image is open")
    if min(size) < 1:
        raise NotConvertible(f"its result has the size {size}")
    corners, halves = (bool(node.attrs.get(n)) for n in ("align_corners", "half_pixel_centers"))
    grows = all(new % before == 0 for new, before in zip(size, old, strict=True))
    is_usual = (halves and not corners) if method == "bilinear" else (grows and not corners)
    if is_usual:
        result = b.layer(
            node,
            keras.layers.Resizing,
            tensor,
            height=size[0],
            width=size[1],
            interpolation=method,
        )
        return b.result(result, order, like=b.input(node, 0).layout)
    for axis, (new, before) in enumerate(zip(size, old, strict=True), start=1):
        places = _places(new, before, corners, halves, method)
        tensor = _taken(b, node, tensor, axis, places, method)
    return b.result(tensor, order, like=b.input(node, 0).layout)


def _places(new: int, old: int, corners: bool, halves: bool, method: str) -> np.ndarray:
    """Say where in the old axis each entry of the new one lies, in entries of the old."""
    # In float32, as the sources compute it: their rounding decides which neighbor is nearest.
    steps = np.arange(new, dtype=np.float32)
    scale = np.float32((old - 1) / (new - 1) if corners and new > 1 else old / new)
    if method == "nearest":
        places = (steps + np.float32(0.5 if halves else 0.0)) * scale
        places = np.floor(places + np.float32(0.5)) if corners else np.floor(places)
        return np.clip(places, 0, old - 1)
    places = (steps + np.float32(0.5)) * scale - np.float32(0.5) if halves else steps * scale
    return np.maximum(places, 0.0)


def _taken(
    b: Building, node: SourceNode, tensor: Any, axis: int, places: np.ndarray, method: str
) -> Any:
    """Take entries along one axis, between two neighbors in proportion."""
    last, name = int(tensor.shape[axis]) - 1, "hw"[axis - 1]
    low = np.minimum(np.floor(places).astype(np.int32), last)
    first = b.op(node, _ops.take, tensor, low, axis=axis, suffix=f"{name}_low")
    share = (places - low).astype(np.float32)
    if method == "nearest" or not share.any():
        return first
    high = np.minimum(low + 1, last)
    second = b.op(node, _ops.take, tensor, high, axis=axis, suffix=f"{name}_high")
    share = share.reshape((-1, 1, 1) if axis == 1 else (-1, 1))
    first = b.op(node, _ops.multiply, first, 1 - share, suffix=f"{name}_low_share")
    second = b.op(node, _ops.multiply, second, share, suffix=f"{name}_high_share")
    return b.layer(node, keras.layers.Add, first, second, suffix=f"{name}_add")


def depth_to_space(b: Building, node: SourceNode) -> Value:
    """Turn channels into blocks of `block` x `block` pixels."""
    value, block = _channels_last(b, node)
    batch, height, width, channels = value.shape
    if channels % block**2:
        raise NotConvertible(f"makes blocks of {block} of {channels} channels")
    parts = channels // block**2
    split = b.reshape(node, value, (batch, height, width, block, block, parts))
    moved = b.transpose(split, (0, 1, 3, 2, 4, 5))
    return _back(b, node, b.reshape(node, moved, (batch, height * block, width * block, parts)))


def space_to_depth(b: Building, node: SourceNode) -> Value:
    """Turn blocks of `block` x `block` pixels into channels."""
    value, block = _channels_last(b, node)
    batch, height, width, channels = value.shape
    if height % block or width % block:
        raise NotConvertible(f"makes channels of blocks of {block} of {height} x {width}")
    split = b.reshape(node, value, (batch, height // block, block, width // block, block, channels))
    moved = b.transpose(split, (0, 1, 3, 2, 4, 5))
    shape = (batch, height // block, width // block, channels * block**2)
    return _back(b, node, b.reshape(node, moved, shape))


def _channels_last(b: Building, node: SourceNode) -> tuple[Value, int]:
    value, block = b.input(node, 0), int(node.attrs.get("block") or 0)
    if value.rank != 4 or block < 1:
        raise NotConvertible(f"makes blocks of {block} of a tensor of {value.rank} axes")
    if int(node.attrs.get("channel_axis", 3)) == 1:
        value = b.transpose(value, (0, 2, 3, 1))
    return value, block


def _back(b: Building, node: SourceNode, value: Value) -> Value:
    if int(node.attrs.get("channel_axis", 3)) == 1:
        return b.transpose(value, (0, 3, 1, 2))
    return value
