"""Activations, by themselves or as part of another operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_NONNEGATIVE = frozenset({"relu", "relu6", "sigmoid"})
_LAYERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "relu": (keras.layers.ReLU, {}),
    "relu6": (keras.layers.ReLU, {"max_value": 6.0}),
    **{
        name: (keras.layers.Activation, {"activation": keras_name})
        for name, keras_name in (
            ("tanh", "tanh"),
            ("sigmoid", "sigmoid"),
            ("hard_swish", "hard_silu"),
            ("elu", "elu"),
            ("selu", "selu"),
            ("softplus", "softplus"),
            ("softsign", "softsign"),
        )
    },
}


def activated(b: Building, node: SourceNode, value: Value) -> Value:
    """Apply what the source has fused into an operator: its `activation`, if any."""
    name = node.attrs.get("activation")
    if name is None:
        return value
    return activation(b, node, value, str(name), suffix=str(name))


def activation(b: Building, node: SourceNode, value: Value, name: str, suffix: str = "") -> Value:
    """Apply an activation that treats each value alone.

    Raises:
        NotConvertible: if it is another one.
    """
    if name == "relu_n1_to_1":
        tensor = b.op(node, keras.ops.clip, value.tensor, -1.0, 1.0, suffix=suffix)
    elif name == "relu_0_to_1":
        tensor = b.layer(node, keras.layers.ReLU, value.tensor, max_value=1.0, suffix=suffix)
    elif name in _LAYERS:
        layer, settings = _LAYERS[name]
        tensor = b.layer(node, layer, value.tensor, suffix=suffix, **settings)
    else:
        raise NotConvertible(f"its activation {name} has no Keras counterpart")
    return value.replace(tensor=tensor, nonnegative=name in _NONNEGATIVE)


def plain(name: str) -> Callable[[Building, SourceNode], Value]:
    """Make the function of an operator that is nothing but an activation."""
    return lambda b, node: activation(b, node, b.input(node, 0), name)


def leaky_relu(b: Building, node: SourceNode) -> Value:
    """Build x for x > 0, else `alpha` x."""
    value = b.input(node, 0)
    slope = float(node.attrs.get("alpha", 0.2))
    tensor = b.layer(node, keras.layers.LeakyReLU, value.tensor, negative_slope=slope)
    return value.replace(tensor=tensor, nonnegative=False)


def gelu(b: Building, node: SourceNode) -> Value:
    """Build the Gaussian error linear unit."""
    value = b.input(node, 0)
    approximate = bool(node.attrs.get("approximate", False))
    return value.replace(tensor=b.op(node, keras.ops.gelu, value.tensor, approximate))


def prelu(b: Building, node: SourceNode) -> Value:
    """Build x for x > 0, else a learned slope times x; slopes are shared where the source does."""
    value = b.input(node, 0)
    slopes = np.asarray(b.constant(node, 1, "slopes"), np.float32)
    tensor, order = b.in_order(node, value)
    if order[0] != 0 or slopes.ndim > value.rank:
        raise NotConvertible(f"its slopes have the shape {slopes.shape}")
    slopes = slopes.reshape((1,) * (value.rank - slopes.ndim) + slopes.shape)
    slopes = slopes.transpose(order)[0]
    shared = [axis + 1 for axis, size in enumerate(slopes.shape) if size == 1]
    shared = [axis for axis in shared if tensor.shape[axis] != 1]
    result = b.layer(
        node, keras.layers.PReLU, tensor, shared_axes=shared or None, weights=[slopes]
    )
    return b.result(result, order, like=value.layout)


def softmax(b: Building, node: SourceNode) -> Value:
    """Build a softmax over the last axis, of `beta` times the values."""
    return _over_last(b, node, "softmax", float(node.attrs.get("beta", 1.0)))


def log_softmax(b: Building, node: SourceNode) -> Value:
    """Build the logarithm of a softmax over the last axis."""
    return _over_last(b, node, "log_softmax", 1.0)


def _over_last(b: Building, node: SourceNode, name: str, beta: float) -> Value:
    value = b.input(node, 0)
    tensor, order = b.channels_last(node, value, value.rank - 1)
    if beta != 1.0:
        tensor = b.op(node, keras.ops.multiply, tensor, beta, suffix="beta")
    result = b.layer(node, keras.layers.Activation, tensor, activation=name)
    return b.result(result, order, like=value.layout)
