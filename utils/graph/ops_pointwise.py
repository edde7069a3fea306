"""Rows of the op table: ops that treat each channel alone, and those that normalize over them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.graph.integer_kernels import POINTWISE
from utils.graph.ir import Node, Ref, map_leaves
from utils.graph.ops_weighted import freeze_mixed, is_elementwise
from utils.graph.row import IN, Cut, Label, Op, Scope, channel_axis


@dataclasses.dataclass(frozen=True)
class _Operand:
    """One tensor of an element-wise op: its size and channels along the output's channel axis."""

    name: str
    size: int | None
    ids: np.ndarray | None


def elementwise(*, stream: bool) -> Callable[[Node, Scope, Op], list[Label | None]]:
    """Coupling rule of an op that combines tensors index by index, with broadcasting.

    Args:
        stream: whether the op adds signals up (Add, Maximum, …) rather than scales one by another
            (Multiply): several producers that meet there form a residual stream.
    """

    def couple(node: Node, scope: Scope, row: Op) -> list[Label | None]:
        rank = len(scope.shape(Ref(node.name)))
        axis = _common_axis(node, scope, rank)
        if axis is None:
            return [None]
        size = scope.shape(Ref(node.name))[axis]
        aligned = [side for side in _operands(node, scope, rank, axis) if side.size == size]
        found = [side.ids for side in aligned if side.ids is not None]
        for ids in found[1:]:
            if ids is not found[0]:
                scope.unite(found[0], ids, f"{node.layer!r} combines it with a fixed channel")
        for side in aligned:
            if side.ids is None:
                scope.freeze(found[0], f"{node.layer!r} combines them with {side.name!r}")
        if stream:
            scope.merge(found)
        return [Label(axis, found[0])]

    return couple


def _common_axis(node: Node, scope: Scope, rank: int) -> int | None:
    """Find the output axis on which the operands' channels lie; freeze them if they disagree."""
    labels = {ref: scope.label(ref) for ref in node.inputs}
    axes = {
        label.axis + rank - len(scope.shape(ref))
        for ref, label in labels.items()
        if label is not None
    }
    if len(axes) == 1:
        return axes.pop()
    for label in labels.values():
        if label is not None:
            scope.freeze(label.ids, f"{node.layer!r} combines channels on different axes")
    return None


def _operands(node: Node, scope: Scope, rank: int, axis: int) -> list[_Operand]:
    """List the tensors that are combined; constant arrays are cut along with them by surgery.

    One of size 1 is spread over the channels and couples to none (labels have two ids or more).
    """
    found = []
    for ref in node.inputs:
        shape, label = scope.shape(ref), scope.label(ref)
        own_axis = axis - (rank - len(shape))
        size = shape[own_axis] if own_axis >= 0 else None
        found.append(_Operand(ref.node, size, None if label is None else label.ids))
    return found


def _resize_constants(node: Node, cut: Cut) -> tuple[Node, ...]:
    """Cut the arrays among an element-wise op's operands along the channel axis."""
    kept = cut.kept(Ref(node.name))
    if kept is None:
        return (node,)
    axis, mask = kept
    rank = len(cut.shape(Ref(node.name)))

    def resize(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        own_axis = axis - (rank - leaf.ndim)
        if own_axis < 0 or leaf.shape[own_axis] == 1:
            return leaf
        return np.compress(mask, leaf, axis=own_axis)

    return (
        node.replace(args=map_leaves(resize, node.args), kwargs=map_leaves(resize, node.kwargs)),
    )


def _activation(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    if label is not None:
        freeze_mixed(node, scope, label.ids)
    return [label]


def _relu_as_activation(attrs: Mapping[str, Any]) -> str | None:
    if attrs.get("negative_slope") or attrs.get("threshold"):
        return None
    return {None: "relu", 6.0: "relu6"}.get(attrs.get("max_value"))


def _named(function: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda attrs: function


def _dropout(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    return [scope.label(node.inputs[0])]


def _resize_dropout(node: Node, cut: Cut) -> tuple[Node, ...]:
    kept = cut.kept(Ref(node.name))
    noise_shape = node.attrs.get("noise_shape")
    if kept is None or noise_shape is None or noise_shape[kept[0]] in (None, 1):
        return (node,)
    resized = [*noise_shape]
    resized[kept[0]] = int(kept[1].sum())
    return (node.with_attrs(noise_shape=tuple(resized)),)


def _pinned(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    """Understood, but its parameters are not cut: the channels that pass stay."""
    for ref in node.inputs:
        label = scope.label(ref)
        if label is not None:
            scope.freeze(label.ids, f"they pass {node.layer!r}, which is not cut")
    return [None] * scope.outputs(node)


def _rescaling(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    scalar = all(isinstance(node.attrs.get(key), (int, float)) for key in ("scale", "offset"))
    return [scope.label(node.inputs[0])] if scalar else _pinned(node, scope, row)


def _batch_norm(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    rank = len(scope.shape(node.inputs[0]))
    tied = label is not None and label.axis == node.attrs["axis"] % rank
    scope.follow(node, {IN: label.ids if label is not None and tied else None})
    return [label]


def _group_norm(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    """Each group has its own statistics: it can go as a whole without touching the others."""
    label = scope.label(node.inputs[0])
    shape = scope.shape(node.inputs[0])
    if label is None:
        return [None]
    axis = node.attrs["axis"] % len(shape)
    groups = node.attrs["groups"] if node.attrs["groups"] != -1 else shape[axis]
    if label.axis != axis or groups == 1:
        scope.freeze(label.ids, f"{node.layer!r} normalizes over them")
        return [label]
    rows = label.ids.reshape(groups, -1)
    scope.unite(
        rows[:, 1:],
        np.broadcast_to(rows[:, :1], rows[:, 1:].shape),
        f"a group of {node.layer!r} holds channels that cannot be cut",
    )
    scope.follow(node, {IN: label.ids})
    return [label]


def _resize_group_norm(node: Node, cut: Cut) -> tuple[Node, ...]:
    groups = node.attrs["groups"]
    kept = cut.kept(Ref(node.name))
    if groups == -1 or kept is None:
        return (node,)
    return (node.with_attrs(groups=groups * int(kept[1].sum()) // kept[1].size),)


def _over_axis(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    """Softmax and layer normalization: cutting one channel changes all the others."""
    label = scope.label(node.inputs[0])
    if label is None:
        return [None]
    rank = len(scope.shape(node.inputs[0]))
    axes = node.attrs.get("axis", -1)
    axes = axes if isinstance(axes, (list, tuple)) else [axes]
    if label.axis in {axis % rank for axis in axes}:
        scope.freeze(label.ids, f"{node.layer!r} normalizes over them")
    return [label]


def _prelu(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    if label is None:
        return [None]
    rank = len(scope.shape(node.inputs[0]))
    shared = label.axis in (node.attrs.get("shared_axes") or ())
    if label.axis == rank - 1:
        scope.follow(node, {IN: None if shared else label.ids})
    elif not shared:
        scope.freeze(label.ids, f"{node.layer!r} has parameters for them on a middle axis")
    return [label]


def _layer_scale(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    last = len(scope.shape(node.inputs[0])) - 1
    tied = label is not None and label.axis == last
    scope.follow(node, {IN: label.ids if label is not None and tied else None})
    return [label]


def _resize_layer_scale(node: Node, cut: Cut) -> tuple[Node, ...]:
    return (node.with_attrs(projection_dim=cut.shape(Ref(node.name))[-1]),)


def _spatial(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    """Pooling, resizing, padding, cropping over positions: channels pass."""
    label = scope.label(node.inputs[0])
    if label is None:
        return [None]
    rank = len(scope.shape(node.inputs[0]))
    if label.axis != channel_axis(node.attrs, rank):
        scope.freeze(label.ids, f"{node.layer!r} works along their axis")
        return [None]
    return [Label(1 if len(scope.shape(Ref(node.name))) == 2 else label.axis, label.ids)]


def scale_and_shift(
    arrays: Mapping[str, np.ndarray], attrs: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Write batch normalization as `scale · x + shift`.

    Args:
        arrays: `moving_mean`, `moving_variance`, and where the layer has them `gamma`, `beta`;
            float arrays [channels].
        attrs: `epsilon`, added to the variance.

    Returns:
        `scale` and `shift`, float64 arrays [channels].
    """
    variance = arrays["moving_variance"].astype(np.float64)
    scale = arrays.get("gamma", 1.0) / np.sqrt(variance + attrs["epsilon"])
    return scale, arrays.get("beta", 0.0) - scale * arrays["moving_mean"]


_ALONE = "each channel alone"
_SUM = Op(
    couple=elementwise(stream=True),
    note="couples its operands' channels one to one: a residual stream",
    resize=_resize_constants,
)
_ADD = dataclasses.replace(_SUM, adds=True)
_PRODUCT = Op(
    couple=elementwise(stream=False),
    note="couples its operands' channels one to one",
    resize=_resize_constants,
)
_OVER_AXIS = Op(couple=_over_axis, note="normalizes over its axis: channels on it are not cut")
_SPATIAL = Op(couple=_spatial, note="works on positions: channels pass")
_PINNED = Op(couple=_pinned, note="channels that reach it are not cut")
_DROPOUT = Op(couple=_dropout, note=_ALONE, resize=_resize_dropout)

_NAMES: tuple[tuple[str, Op, str], ...] = (
    ("keras.layers", _ADD, "Add"),
    ("keras.src.ops.numpy", _ADD, "Add"),
    ("keras.layers", _SUM, "Average Maximum Minimum Subtract"),
    ("keras.src.ops.numpy", _SUM, "Fmax Fmin Maximum Minimum Subtract Where"),
    (
        "keras.layers",
        _PRODUCT,
        "Multiply ReLU LeakyReLU ELU Identity ActivityRegularization GaussianNoise AlphaDropout "
        "GaussianDropout",
    ),
    (
        "keras.src.ops.numpy",
        _PRODUCT,
        "Abs Absolute Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Ceil Clip Copy Cos Cosh "
        "Divide DivideNoNan Equal Exp Exp2 Expm1 Floor FloorDivide Greater GreaterEqual Isfinite "
        "Isinf Isnan Less LessEqual Log Log10 Log1p Log2 LogicalAnd LogicalNot LogicalOr Mod "
        "Multiply NanToNum Negative NotEqual OnesLike Power Reciprocal Round Sign Sin Sinh Sqrt "
        "Square Tan Tanh TrueDivide Trunc ZerosLike",
    ),
    (
        "keras.src.ops.nn",
        _PRODUCT,
        "Celu Elu Gelu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid Relu Relu6 "
        "Selu Sigmoid Silu SoftShrink Softplus Softsign SparsePlus SparseSigmoid Squareplus "
        "TanhShrink Threshold",
    ),
    ("keras.src.ops.core", _PRODUCT, "Cast SaturateCast StopGradient"),
    ("keras.src.ops.math", _PRODUCT, "Erf Rsqrt"),
    ("keras.layers", _OVER_AXIS, "Softmax UnitNormalization"),
    ("keras.src.ops.nn", _OVER_AXIS, "Softmax LogSoftmax Sparsemax Normalize"),
    ("keras.layers", _DROPOUT, "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D"),
    ("keras.src.applications.convnext", _DROPOUT, "StochasticDepth"),
    (
        "keras.layers",
        _PINNED,
        "InputLayer Masking CategoryEncoding CenterCrop RandomBrightness RandomContrast RandomCrop "
        "RandomFlip RandomRotation RandomTranslation RandomZoom",
    ),
    ("keras.layers", _SPATIAL, "Resizing"),
    ("keras.src.ops.image", _SPATIAL, "Resize"),
    ("keras.src.ops.nn", _SPATIAL, "AveragePool MaxPool"),
)
# Operations that are an activation without parameters, under the activation's name.
_SAME_VALUES = (
    "keras.layers.Identity keras.layers.ActivityRegularization keras.src.ops.numpy.Copy "
    "keras.src.ops.core.Cast keras.src.ops.core.SaturateCast keras.src.ops.core.StopGradient"
)
_ACTIVATION_OPS = {
    "keras.src.ops.nn": "Relu Relu6 Selu Sigmoid Silu Softplus Softsign HardSigmoid HardSilu",
    "keras.src.ops.numpy": "Tanh",
}
_SPATIAL_LAYERS = (
    "AveragePooling MaxPooling GlobalAveragePooling GlobalMaxPooling AdaptiveAveragePooling "
    "AdaptiveMaxPooling UpSampling ZeroPadding Cropping"
)
_PER_CHANNEL = {-1: IN}

ROWS: dict[str, Op] = {
    "keras.layers.Activation": Op(
        couple=_activation,
        note="each channel alone, softmax excepted",
        activation=lambda attrs: (
            attrs["activation"] if is_elementwise(attrs["activation"]) else None
        ),
    ),
    "keras.layers.Rescaling": Op(couple=_rescaling, note=_ALONE),
    "keras.layers.Normalization": dataclasses.replace(
        _PINNED, weights={"mean": {}, "variance": {}, "count": {}}
    ),
    "keras.layers.BatchNormalization": Op(
        couple=_batch_norm,
        note="parameters follow the channels",
        weights=dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), _PER_CHANNEL),
        affine=scale_and_shift,
        absorbs=("moving_mean", -1.0),
    ),
    "keras.layers.GroupNormalization": Op(
        couple=_group_norm,
        note="a group goes as a whole; with one group channels are not cut",
        resize=_resize_group_norm,
        weights=dict.fromkeys(("gamma", "beta"), _PER_CHANNEL),
    ),
    "keras.layers.LayerNormalization": dataclasses.replace(
        _OVER_AXIS, weights={"gamma": {}, "beta": {}}
    ),
    "keras.layers.RMSNormalization": dataclasses.replace(_OVER_AXIS, weights={"scale": {}}),
    "keras.layers.PReLU": Op(
        couple=_prelu, note="parameters follow the channels", weights={"alpha": _PER_CHANNEL}
    ),
    "keras.src.applications.convnext.LayerScale": Op(
        couple=_layer_scale,
        note="parameters follow the channels",
        resize=_resize_layer_scale,
        weights={"variable": _PER_CHANNEL},
    ),
}
for _module, _row, _names in _NAMES:
    ROWS.update({f"{_module}.{_name}": _row for _name in _names.split()})
for _name in _SAME_VALUES.split():
    ROWS[_name] = dataclasses.replace(_PRODUCT, moves=lambda node, values: values)
ROWS["Flowpress>ActivationQuantizer"] = Op(
    couple=elementwise(stream=False), note=_ALONE, weights={"scale": {}}
)
ROWS["Flowpress>FakeQuant"] = Op(
    couple=elementwise(stream=False), note=_ALONE, weights={"least": {}, "greatest": {}}
)
ROWS["keras.layers.ReLU"] = dataclasses.replace(_PRODUCT, activation=_relu_as_activation)
for _module, _names in _ACTIVATION_OPS.items():
    for _name in _names.split():
        _function = re.sub(r"(?<!^)([A-Z])", r"_\1", _name).lower()
        ROWS[f"{_module}.{_name}"] = dataclasses.replace(_PRODUCT, activation=_named(_function))
for _name in _SPATIAL_LAYERS.split():
    ROWS.update({f"keras.layers.{_name}{_rank}D": _SPATIAL for _rank in (1, 2, 3)})
for _path, _rule in POINTWISE.items():
    ROWS[_path] = dataclasses.replace(ROWS[_path], integers=_rule)
