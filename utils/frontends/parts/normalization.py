"""Layers that normalize: batch, instance, group and layer normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from utils.frontends import layout as axes
from utils.frontends.building import Building
from utils.frontends.source import NotConvertible, SourceNode, check_size
from utils.frontends.values import Value


def batch_norm(
    build: Building,
    node: SourceNode,
    value: Value,
    arrays: Sequence[np.ndarray],
    epsilon: float,
    momentum: float,
    axis: int = 1,
) -> Value:
    """Batch normalization with gamma, beta, moving mean and moving variance [channels]."""
    tensor, order = build.channels_last(node, value, axis)
    tensor = build.layer(
        node,
        keras.layers.BatchNormalization,
        tensor,
        weights=list(arrays),
        epsilon=epsilon,
        momentum=min(max(momentum, 0.0), 1.0),
    )
    return build.result(tensor, order, like=value.axes)


def group_norm(
    build: Building,
    node: SourceNode,
    value: Value,
    groups: int,
    scale: np.ndarray | None,
    offset: np.ndarray | None,
    epsilon: float,
) -> Value:
    """Group normalization over source axis 1; `groups` -1 normalizes each channel alone."""
    tensor, order = build.channels_last(node, value)
    tensor = build.layer(
        node,
        keras.layers.GroupNormalization,
        tensor,
        weights=[array for array in (scale, offset) if array is not None],
        groups=groups,
        epsilon=epsilon,
        scale=scale is not None,
        center=offset is not None,
    )
    return build.result(tensor, order, like=value.axes)


def instance_norm(
    build: Building,
    node: SourceNode,
    value: Value,
    scale: np.ndarray,
    offset: np.ndarray,
    epsilon: float,
) -> Value:
    """Instance normalization over source axis 1.

    PyTorch writes a group normalization as one of [batch, groups, the rest] with scale 1: that is
    recognized by the atoms, and nothing moves.
    """
    channel = value.axes.source[1]
    last = value.axes.built[-1]
    is_plain = np.all(scale == 1) and np.all(offset == 0)
    if is_plain and len(channel) == 1 and len(last) > 1 and last[:1] == channel:
        tensor = build.layer(
            node,
            keras.layers.GroupNormalization,
            value.tensor,
            groups=channel[0].size,
            epsilon=epsilon,
            scale=False,
            center=False,
        )
        return Value(tensor=tensor, layout=value.axes)
    return group_norm(build, node, value, -1, scale, offset, epsilon)


def layer_norm(
    build: Building,
    node: SourceNode,
    value: Value,
    first_axis: int,
    scale: np.ndarray | None,
    offset: np.ndarray | None,
    epsilon: float,
) -> Value:
    """Layer normalization over the source axes from `first_axis` on."""
    first_axis %= value.rank
    shape = value.shape[first_axis:]
    tensor, order = build.in_order(node, value)
    over = [axis for axis in range(first_axis, value.rank) if value.shape[axis] != 1]
    if not over or any(axes.is_free(value.axes.source[axis]) for axis in over):
        raise NotConvertible("normalizes over axes of a size that is open")
    places = sorted(order.index(axis) for axis in over)
    weights: list[Any] = []
    for array in (scale, offset):
        if array is None:
            continue
        whole = np.broadcast_to(array, check_size(shape)).reshape(
            [size for size in shape if size != 1]
        )
        weights.append(whole.transpose([over.index(order[place]) for place in places]))
    axis = places[0] if len(places) == 1 else places
    tensor = build.layer(
        node,
        keras.layers.LayerNormalization,
        tensor,
        weights=weights,
        axis=-1 if axis == len(order) - 1 else axis,
        epsilon=epsilon,
        scale=scale is not None,
        center=offset is not None,
    )
    return build.result(tensor, order, like=value.axes)
