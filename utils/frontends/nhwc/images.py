"""Operators on images that are no convolutions: resizing, and blocks of pixels as channels."""

from __future__ import annotations

from collections.abc import Callable

from utils.frontends.building import Building
from utils.frontends.layout import is_free
from utils.frontends.nhwc.views import back, image
from utils.frontends.parts import resizing
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_MODES = {"bilinear": "linear", "nearest": "nearest"}


def resize(method: str) -> Callable[[Building, SourceNode], Value]:
    """Make the function of an operator that reads an image and its new height and width.

    Args:
        method: "bilinear" or "nearest".
    """

    def build(b: Building, node: SourceNode) -> Value:
        size = b.constant(node, 1, "size").reshape(-1)
        return resized(b, node, (int(size[0]), int(size[1])), method)

    return build


def resized(b: Building, node: SourceNode, size: tuple[int, int], method: str) -> Value:
    """Resize an image, see `utils.frontends.parts.resizing`.

    Args:
        b: the network.
        node: with `align_corners` and `half_pixel_centers`.
        size: height and width of the result.
        method: "bilinear" or "nearest".
    """
    value = image(b, node, b.input(node, 0))
    if any(is_free(value.axes.source[axis]) for axis in (2, 3)):
        raise NotConvertible("the size of its image is open. Give it with --input_shape")
    if min(size) < 1:
        raise NotConvertible(f"its result has the size {size}")
    corners, halves = (bool(node.attrs.get(n)) for n in ("align_corners", "half_pixel_centers"))
    rule = resizing.tensorflow_rule(_MODES[method], corners=corners, halves=halves)
    sizes = dict(zip((2, 3), size, strict=True))
    scales = {axis: new / value.shape[axis] for axis, new in sizes.items()}
    return back(b, node, resizing.resize(b, node, value, sizes, scales, rule))


def depth_to_space(b: Building, node: SourceNode) -> Value:
    """Turn channels into blocks of `block` x `block` pixels."""
    value, block = image(b, node, b.input(node, 0)), int(node.attrs.get("block") or 0)
    return back(b, node, resizing.depth_to_space(b, node, value, block, blocks_first=True))


def space_to_depth(b: Building, node: SourceNode) -> Value:
    """Turn blocks of `block` x `block` pixels into channels."""
    value, block = image(b, node, b.input(node, 0)), int(node.attrs.get("block") or 0)
    return back(b, node, resizing.space_to_depth(b, node, value, block))
