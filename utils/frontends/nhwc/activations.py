"""Activations, by themselves or as part of another operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.nhwc.views import back, first
from utils.frontends.parts import pointwise
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_INTERVALS = {
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
    "relu_0_to_1": (0.0, 1.0),
    "relu_n1_to_1": (-1.0, 1.0),
}
_NAMED = {
    "elu": "elu",
    "hard_swish": "hard_silu",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "softplus": "softplus",
    "softsign": "softsign",
    "tanh": "tanh",
}


def activated(b: Building, node: SourceNode, value: Value) -> Value:
    """Apply what the source has fused into an operator: its `activation`, if any."""
    name = node.attrs.get("activation")
    return value if name is None else activation(b, node, value, str(name))


def activation(b: Building, node: SourceNode, value: Value, name: str) -> Value:
    """Apply an activation that treats each value alone.

    Raises:
        NotConvertible: if it is another one.
    """
    if name in _INTERVALS:
        return pointwise.clip(b, node, value, *_INTERVALS[name])
    if name in _NAMED:
        settings: dict[str, Any] = {"activation": _NAMED[name]}
        return pointwise.activation(b, node, value, keras.layers.Activation, **settings)
    raise NotConvertible(f"its activation {name} has no Keras counterpart")


def plain(name: str) -> Callable[[Building, SourceNode], Value]:
    """Make the function of an operator that is nothing but an activation."""
    return lambda b, node: activation(b, node, b.input(node, 0), name)


def leaky_relu(b: Building, node: SourceNode) -> Value:
    """Build x for x > 0, else `alpha` x."""
    slope = float(node.attrs.get("alpha", 0.2))
    value = b.input(node, 0)
    return pointwise.activation(b, node, value, keras.layers.LeakyReLU, negative_slope=slope)


def gelu(b: Building, node: SourceNode) -> Value:
    """Build the Gaussian error linear unit."""
    approximate = bool(node.attrs.get("approximate", False))
    return pointwise.unary(b, node, b.input(node, 0), keras.ops.gelu, approximate)


def prelu(b: Building, node: SourceNode) -> Value:
    """Build x for x > 0, else a learned slope times x; slopes are shared where the source does."""
    value = b.input(node, 0)
    slopes = np.asarray(b.constant(node, 1, "slopes"), np.float32)
    if slopes.ndim > value.rank:
        raise NotConvertible(f"its slopes have the shape {slopes.shape}")
    slopes = slopes.reshape((1,) * (value.rank - slopes.ndim) + slopes.shape)
    if value.rank > 2:
        slopes = np.moveaxis(slopes, -1, 1)
    return back(b, node, pointwise.prelu(b, node, first(b, node, value), slopes))


def softmax(b: Building, node: SourceNode) -> Value:
    """Build a softmax over the last axis, of `beta` times the values."""
    value, beta = b.input(node, 0), float(node.attrs.get("beta", 1.0))
    if beta != 1.0:
        value = pointwise.unary(b, node, value, keras.ops.multiply, beta)
    return pointwise.softmax(b, node, value, [value.rank - 1])


def log_softmax(b: Building, node: SourceNode) -> Value:
    """Build the logarithm of a softmax over the last axis."""
    value = b.input(node, 0)
    return pointwise.softmax(b, node, value, [value.rank - 1], is_log=True)
