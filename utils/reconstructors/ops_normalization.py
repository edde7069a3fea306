"""Layers that normalize, scale and shift."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref
from utils.reconstructors.ops_pointwise import over_axis
from utils.reconstructors.rebuilding import Rebuilding, RefusedError
from utils.reconstructors.values import Value

_EPSILON = 1e-7  # of Keras, unless a layer says otherwise
_BATCH_NORM_RANKS = (2, 3, 4, 5)


def _whole(rebuilding: Rebuilding, node: Node) -> Value:
    """Give the input as it is stored, but for a flattened map, as floats."""
    value = rebuilding.floating(node.inputs[0])
    return value if value.block is None else rebuilding.plain(node.inputs[0])


def _axes(node: Node, rank: int) -> list[int]:
    axis = node.attrs.get("axis", -1)
    return sorted(each % rank for each in (axis if isinstance(axis, (list, tuple)) else [axis]))


def spread(values: np.ndarray, value: Value, axes: Sequence[int]) -> np.ndarray:
    """Lay an array that belongs to some axes out to meet a tensor as it is stored.

    Args:
        values: array with the sizes of `axes`.
        value: the tensor.
        axes: of Keras, ascending.

    Returns:
        Array of the tensor's rank.
    """
    shape = [1] * value.rank
    for axis, size in zip(axes, values.shape, strict=True):
        shape[axis] = size
    return values.reshape(shape).transpose(value.order)


def _batch_norm(rebuilding: Rebuilding, node: Node) -> None:
    params, rank = rebuilding.params(node), len(rebuilding.graph.shape(node.inputs[0]))
    axis = node.attrs["axis"] % rank
    if rank not in _BATCH_NORM_RANKS:
        raise RefusedError(f"it normalizes a tensor of {rank} axes")
    value = rebuilding.first(node.inputs[0], axis)
    mean = params["moving_mean"]
    arrays = {
        "mean": mean,
        "variance": params["moving_variance"],
        "gamma": params.get("gamma", np.ones_like(mean)),
        "beta": params.get("beta", np.zeros_like(mean)),
    }
    found = rebuilding.target.batch_norm(
        value.handle, rank, arrays, node.attrs["epsilon"], node.attrs.get("momentum", 0.99)
    )
    rebuilding.put_like(node, value, found)


def _group_norm(rebuilding: Rebuilding, node: Node) -> None:
    params, shape = rebuilding.params(node), rebuilding.graph.shape(node.inputs[0])
    axis = node.attrs["axis"] % len(shape)
    channels = shape[axis] or 1
    groups = node.attrs["groups"] if node.attrs["groups"] != -1 else channels
    value = rebuilding.first(node.inputs[0], axis)
    found = rebuilding.target.group_norm(
        value.handle,
        groups,
        params.get("gamma", np.ones(channels, np.float32)),
        params.get("beta", np.zeros(channels, np.float32)),
        node.attrs["epsilon"],
    )
    rebuilding.put_like(node, value, found)


def _layer_norm(rebuilding: Rebuilding, node: Node) -> None:
    """Normalize over axes; where they are not the last ones stored, by means and products."""
    value, params = _whole(rebuilding, node), rebuilding.params(node)
    axes, epsilon = _axes(node, value.rank), node.attrs["epsilon"]
    gamma, beta = params.get("gamma"), params.get("beta")
    target = rebuilding.target
    if list(value.order[-len(axes) :]) == axes:
        sizes = [value.shape[axis] or 1 for axis in axes]
        found = target.layer_norm(value.handle, gamma, beta, sizes, epsilon)
        rebuilding.put_like(node, value, found)
        return
    places = [value.place(axis) for axis in axes]
    centered, variance = _moments(rebuilding, value.handle, places)
    scale = target.unary("sqrt", target.binary("add", variance, float(epsilon)))
    found = target.binary("div", centered, scale)
    for name, op, array in (("weight", "mul", gamma), ("bias", "add", beta)):
        if array is not None:
            held = target.constant(name, spread(array, value, axes), trained=True)
            found = target.binary(op, found, held)
    rebuilding.put_like(node, value, found)


def _moments(rebuilding: Rebuilding, x: Any, places: Sequence[int]) -> tuple[Any, Any]:
    """Give a tensor less its mean, and its variance."""
    target = rebuilding.target
    centered = target.binary("sub", x, target.reduce("mean", x, places, True))
    return centered, target.reduce("mean", target.binary("mul", centered, centered), places, True)


def _rms_norm(rebuilding: Rebuilding, node: Node) -> None:
    value, target = _whole(rebuilding, node), rebuilding.target
    axes = _axes(node, value.rank)
    squares = target.binary("mul", value.handle, value.handle)
    mean = target.reduce("mean", squares, [value.place(axis) for axis in axes], True)
    root = target.unary("sqrt", target.binary("add", mean, float(node.attrs["epsilon"])))
    found = target.binary("div", value.handle, root)
    scale = rebuilding.params(node).get("scale")
    if scale is not None:
        laid = scale.reshape([value.shape[axis] or 1 for axis in axes])
        held = target.constant("weight", spread(laid, value, axes), trained=True)
        found = target.binary("mul", found, held)
    rebuilding.put_like(node, value, found)


def _unit_norm(rebuilding: Rebuilding, node: Node) -> None:
    _normalize(rebuilding, node, 2, 1e-12)


def _normalize_op(rebuilding: Rebuilding, node: Node) -> None:
    epsilon = node.attrs.get("epsilon")
    _normalize(rebuilding, node, node.attrs.get("order", 2), epsilon or _EPSILON)


def _normalize(rebuilding: Rebuilding, node: Node, order: Any, epsilon: float) -> None:
    """Divide by a norm, which is at least epsilon."""
    value, target = _whole(rebuilding, node), rebuilding.target
    places = [value.place(axis) for axis in _axes(node, value.rank)]
    if order == 2:
        total = target.reduce("sum", target.binary("mul", value.handle, value.handle), places, True)
        norm = target.unary("sqrt", total)
    elif order in (1, math.inf):
        name = "sum" if order == 1 else "max"
        norm = target.reduce(name, target.unary("abs", value.handle), places, True)
    else:
        raise RefusedError(f"it takes the norm of order {order!r}")
    found = target.binary("div", value.handle, target.clip(norm, float(epsilon), None))
    rebuilding.put_like(node, value, found)


def _softmax(rebuilding: Rebuilding, node: Node) -> None:
    if len(node.inputs) > 1:
        raise RefusedError("it is called with a mask")
    axis = node.attrs.get("axis", -1)
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        (axis,) = axis
    if isinstance(axis, int):
        over_axis(rebuilding, node, axis)
        return
    value, target = _whole(rebuilding, node), rebuilding.target
    axes = range(value.rank) if axis is None else axis
    places = [value.place(each) for each in axes]
    shifted = target.binary("sub", value.handle, target.reduce("max", value.handle, places, True))
    powers = target.unary("exp", shifted)
    found = target.binary("div", powers, target.reduce("sum", powers, places, True))
    rebuilding.put_like(node, value, found)


def _log_softmax(rebuilding: Rebuilding, node: Node) -> None:
    axis = node.attrs.get("axis", -1)
    if not isinstance(axis, int):
        raise RefusedError("it goes over several axes")
    over_axis(rebuilding, node, axis, log=True)


def _rescaling(rebuilding: Rebuilding, node: Node) -> None:
    value, target = _whole(rebuilding, node), rebuilding.target
    found = value.handle
    for key, op, neutral in (("scale", "mul", 1.0), ("offset", "add", 0.0)):
        setting = np.asarray(_number(node.attrs.get(key, neutral)), np.float32)
        if setting.ndim == 0:
            found = found if setting == neutral else target.binary(op, found, float(setting))
            continue
        axes = list(range(value.rank - setting.ndim, value.rank))
        found = target.binary(op, found, target.constant(key, spread(setting, value, axes)))
    rebuilding.put_like(node, value, found)


def _number(setting: Any) -> Any:
    """Read a setting that Keras may have written as a serialized array."""
    if isinstance(setting, Mapping):
        return setting["config"]["value"]
    return setting


def _normalization(rebuilding: Rebuilding, node: Node) -> None:
    """`(x - mean) / max(sqrt(variance), epsilon)`, or back with `invert`."""
    value, target, attrs = _whole(rebuilding, node), rebuilding.target, node.attrs
    params = rebuilding.params(node)
    mean, variance = (
        np.asarray(params[key] if key in params else _number(attrs[key]), np.float32)
        for key in ("mean", "variance")
    )
    axis = attrs.get("axis", -1)
    axes = [] if axis is None else _axes(node, value.rank)
    deviation = np.maximum(np.sqrt(variance), np.float32(_EPSILON))
    held = [
        target.constant(name, spread(_sized(array, value, axes), value, axes))
        for name, array in (("mean", mean), ("deviation", deviation))
    ]
    if attrs.get("invert"):
        found = target.binary("add", target.binary("mul", value.handle, held[1]), held[0])
    else:
        found = target.binary("div", target.binary("sub", value.handle, held[0]), held[1])
    rebuilding.put_like(node, value, found)


def _sized(array: np.ndarray, value: Value, axes: Sequence[int]) -> np.ndarray:
    sizes = [value.shape[axis] or 1 for axis in axes]
    return np.broadcast_to(array.reshape(() if array.size == 1 else sizes), sizes)


def _prelu(rebuilding: Rebuilding, node: Node) -> None:
    value, alpha = _whole(rebuilding, node), rebuilding.params(node)["alpha"]
    if value.order[0] != 0:
        value = rebuilding.plain(node.inputs[0])
    slopes = alpha[None].transpose(value.order)[0]
    rebuilding.put_like(node, value, rebuilding.target.prelu(value.handle, slopes))


def _layer_scale(rebuilding: Rebuilding, node: Node) -> None:
    value, target = _whole(rebuilding, node), rebuilding.target
    gamma = rebuilding.params(node)["variable"]
    held = target.constant("weight", spread(gamma, value, [value.rank - 1]), trained=True)
    rebuilding.put_like(node, value, target.binary("mul", value.handle, held))


def _dropout(rebuilding: Rebuilding, node: Node) -> None:
    value = rebuilding.value(node.inputs[0])
    noise_shape = node.attrs.get("noise_shape")
    shared = [
        value.place(axis) for axis, size in enumerate(noise_shape or ()) if axis and size == 1
    ]
    _drop(rebuilding, node, value, shared)


def _spatial_dropout(rebuilding: Rebuilding, node: Node) -> None:
    value = _whole(rebuilding, node)
    channel = 1 if node.attrs.get("data_format") == "channels_first" else value.rank - 1
    shared = [value.place(axis) for axis in range(1, value.rank) if axis != channel]
    _drop(rebuilding, node, value, shared)


def _stochastic_depth(rebuilding: Rebuilding, node: Node) -> None:
    value = _whole(rebuilding, node)
    _drop(rebuilding, node, value, [value.place(axis) for axis in range(1, value.rank)])


def _drop(rebuilding: Rebuilding, node: Node, value: Value, shared: Sequence[int]) -> None:
    rate = float(node.attrs.get("rate", node.attrs.get("drop_path_rate", 0.0)))
    found = rebuilding.target.drop(value.handle, rate, sorted(shared)) if rate else value.handle
    rebuilding.put_like(node, value, found)


def _noise(name: str, key: str) -> Callable[[Rebuilding, Node], None]:
    def function(rebuilding: Rebuilding, node: Node) -> None:
        value = rebuilding.floating(node.inputs[0])
        found = rebuilding.target.noise(name, value.handle, float(node.attrs[key]))
        rebuilding.put_like(node, value, found)

    return function


def _unchanged(rebuilding: Rebuilding, node: Node) -> None:
    """Pass a tensor on: what augments images does so in training only."""
    value = rebuilding.floating(node.inputs[0])
    rebuilding.put(Ref(node.name), value.handle, value.order, value.block)


_AUGMENTING = (
    "RandomBrightness RandomContrast RandomFlip RandomRotation RandomTranslation RandomZoom"
)
ROWS: Mapping[str, Callable[[Rebuilding, Node], None]] = {
    "keras.layers.BatchNormalization": _batch_norm,
    "keras.layers.GroupNormalization": _group_norm,
    "keras.layers.LayerNormalization": _layer_norm,
    "keras.layers.RMSNormalization": _rms_norm,
    "keras.layers.UnitNormalization": _unit_norm,
    "keras.src.ops.nn.Normalize": _normalize_op,
    "keras.layers.Softmax": _softmax,
    "keras.src.ops.nn.Softmax": _softmax,
    "keras.src.ops.nn.LogSoftmax": _log_softmax,
    "keras.layers.Rescaling": _rescaling,
    "keras.layers.Normalization": _normalization,
    "keras.layers.PReLU": _prelu,
    "keras.src.applications.convnext.LayerScale": _layer_scale,
    "keras.layers.Dropout": _dropout,
    **{f"keras.layers.SpatialDropout{rank}D": _spatial_dropout for rank in (1, 2, 3)},
    "keras.src.applications.convnext.StochasticDepth": _stochastic_depth,
    "keras.layers.GaussianNoise": _noise("gaussian_noise", "stddev"),
    "keras.layers.GaussianDropout": _noise("gaussian_dropout", "rate"),
    "keras.layers.AlphaDropout": _noise("alpha_dropout", "rate"),
    **{f"keras.layers.{name}": _unchanged for name in _AUGMENTING.split()},
}
