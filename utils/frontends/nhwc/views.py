"""Values with their channels in front, as `utils.frontends.parts` takes them; nothing moves."""

from __future__ import annotations

from utils.frontends.building import Building
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_IMAGE_RANK = 4


def first(b: Building, node: SourceNode, value: Value) -> Value:
    """View a value with its channels on axis 1.

    Args:
        b: the network.
        node: its `channel_axis` says that channels are there already if it is 1.
        value: with its channels on the last axis, else.
    """
    if int(node.attrs.get("channel_axis", 3)) == 1 or value.rank < 3:
        return value
    last = value.rank - 1
    return b.transpose(value, (0, last, *range(1, last)))


def back(b: Building, node: SourceNode, value: Value) -> Value:
    """Undo `first`."""
    if int(node.attrs.get("channel_axis", 3)) == 1 or value.rank < 3:
        return value
    return b.transpose(value, (0, *range(2, value.rank), 1))


def image(b: Building, node: SourceNode, value: Value) -> Value:
    """View an image with its channels on axis 1.

    Raises:
        NotConvertible: if it has not the rank of an image.
    """
    if value.rank != _IMAGE_RANK:
        raise NotConvertible(f"reads a tensor of {value.rank} axes, not an image of 4")
    return first(b, node, value)
