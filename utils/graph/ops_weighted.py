"""Rows of the op table: layers whose kernels read channels and make new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref
from utils.graph.positions import position_uses, transposed_uses, window_uses
from utils.graph.row import (
    IN,
    MID,
    OUT,
    Cut,
    IntegerForm,
    IntegerRule,
    Label,
    Op,
    Scope,
    Uses,
    Window,
    channel_axis,
)

# Activations that treat each channel alone; all others (softmax, glu, unknown ones) mix them.
ELEMENTWISE_ACTIVATIONS = frozenset(
    (
        *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
        *("hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "mish", "relu"),
        *("relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign"),
        *("sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh", "tanh_shrink"),
        "threshold",
    )
)
FUSED = (None, "linear", "relu", "relu6")  # activations that are part of a layer's int8 kernel
_ACTIVATION_LAYERS = frozenset({"ReLU", "LeakyReLU", "ELU"})


def is_elementwise(activation: Any) -> bool:
    """Whether a layer's `activation` treats each channel alone.

    Args:
        activation: a name, None, or a serialized function or layer.

    Example:
        >>> is_elementwise("relu"), is_elementwise("softmax")
        (True, False)
    """
    if activation is None or isinstance(activation, str):
        return activation is None or activation in ELEMENTWISE_ACTIVATIONS
    if not isinstance(activation, Mapping):
        return False
    if activation.get("class_name") == "function":
        keras_own = str(activation.get("module")).split(".")[0] in ("builtins", "keras")
        return keras_own and activation.get("config") in ELEMENTWISE_ACTIVATIONS
    return activation.get("module") == "keras.layers" and (
        activation.get("class_name") in _ACTIVATION_LAYERS
    )


def freeze_mixed(node: Node, scope: Scope, ids: np.ndarray, attribute: str = "activation") -> None:
    """Freeze the channels that an activation mixes."""
    activation = node.attrs.get(attribute)
    if not is_elementwise(activation):
        name = activation.get("config") if isinstance(activation, Mapping) else activation
        scope.freeze(ids, f"the {attribute} {name!r} of {node.layer!r} mixes them")


def source_ids(node: Node, scope: Scope, axis: int) -> np.ndarray | None:
    """Channels along `axis` of the first input; those along any other axis freeze."""
    label = scope.label(node.inputs[0])
    if label is None:
        return None
    if label.axis != axis:
        scope.freeze(label.ids, f"{node.layer!r} mixes positions of another axis")
        return None
    return label.ids


def _convolution(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    axis = channel_axis(node.attrs, len(scope.shape(node.inputs[0])))
    source = source_ids(node, scope, axis)
    if node.attrs.get("groups", 1) > 1:
        return _grouped(node, scope, axis, source)
    if source is not None:
        scope.read(node, axis, source)
    out = scope.produce(node, node.attrs["filters"])
    freeze_mixed(node, scope, out)
    scope.follow(node, {IN: source, OUT: out})
    return [Label(axis, out)]


def _grouped(node: Node, scope: Scope, axis: int, source: np.ndarray | None) -> list[Label | None]:
    """Couple each group of a grouped convolution, inputs and outputs: it goes as a whole."""
    groups, filters = node.attrs["groups"], node.attrs["filters"]
    if source is None:
        return [None]
    rows = source.reshape(groups, -1)
    scope.unite(rows[:, 1:], np.broadcast_to(rows[:, :1], rows[:, 1:].shape), _partly(node))
    out = np.repeat(rows[:, 0], filters // groups)
    freeze_mixed(node, scope, out)
    scope.follow(node, {IN: None, OUT: out})
    return [Label(axis, out)]


def _partly(node: Node) -> str:
    return f"a group of {node.layer!r} holds channels that cannot be cut"


def _depthwise(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    axis = channel_axis(node.attrs, len(scope.shape(node.inputs[0])))
    source = source_ids(node, scope, axis)
    if source is None:
        return [None]
    out = np.repeat(source, node.attrs["depth_multiplier"])
    freeze_mixed(node, scope, out)
    scope.follow(node, {IN: source, OUT: out})
    return [Label(axis, out)]


def _separable(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    axis = channel_axis(node.attrs, len(scope.shape(node.inputs[0])))
    source = source_ids(node, scope, axis)
    middle = None
    if source is not None:
        scope.read(node, axis, source)
        middle = np.repeat(source, node.attrs["depth_multiplier"])
    out = scope.produce(node, node.attrs["filters"])
    freeze_mixed(node, scope, out)
    scope.follow(node, {IN: source, MID: middle, OUT: out})
    return [Label(axis, out)]


def _dense(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    axis = len(scope.shape(node.inputs[0])) - 1
    if label is not None and label.axis != axis:  # mixes another axis (tokens): channels pass
        scope.follow(node, {IN: None, OUT: None})
        return [label]
    if label is not None:
        scope.read(node, axis, label.ids)
    out = scope.produce(node, node.attrs["units"])
    freeze_mixed(node, scope, out)
    scope.follow(node, {IN: None if label is None else label.ids, OUT: out})
    return [Label(axis, out)]


def _embedding(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    if label is not None:
        scope.freeze(label.ids, f"{node.layer!r} takes them as indices")
    out = scope.produce(node, node.attrs["output_dim"])
    scope.follow(node, {OUT: out})
    return [Label(len(scope.shape(Ref(node.name))) - 1, out)]


def _resize_convolution(node: Node, cut: Cut) -> tuple[Node, ...]:
    out = Ref(node.name)
    axis = channel_axis(node.attrs, len(cut.shape(out)))
    filters = cut.shape(out)[axis]
    groups = node.attrs.get("groups", 1)
    if groups > 1:
        return (node.with_attrs(filters=filters, groups=groups * filters // node.attrs["filters"]),)
    return (node.with_attrs(filters=filters),)


def _resize_last(attribute: str) -> Any:
    """Resizing rule of a layer whose `attribute` is the size of the output's last axis."""

    def resize(node: Node, cut: Cut) -> tuple[Node, ...]:
        kept = cut.kept(Ref(node.name))
        last = len(cut.shape(Ref(node.name))) - 1
        if kept is None or kept[0] != last:
            return (node,)
        return (node.with_attrs(**{attribute: cut.shape(Ref(node.name))[-1]}),)

    return resize


def _integers(axes: tuple[int, ...]) -> IntegerRule:
    """Rule of a layer whose kernel has a scale for each index of `axes`.

    The kernels compute a ReLU with it; any other activation is an operator of its own, which must
    stand in a layer of its own (`utils.graph.integer_form`).
    """

    def rule(node: Node) -> IntegerForm | None:
        if node.attrs.get("activation") not in FUSED:
            return None
        if node.attrs.get("data_format") == "channels_first":
            return None
        return IntegerForm(fuses=is_linear(node), weights={"kernel": axes})

    return rule


def is_linear(node: Node) -> bool:
    """Whether a layer has no activation of its own."""
    return node.attrs.get("activation") in (None, "linear")


def _window(attrs: Mapping[str, Any]) -> Window | None:
    """Read a two-dimensional convolution of channels-last maps."""
    if attrs.get("groups", 1) != 1 or attrs.get("data_format") == "channels_first":
        return None
    height, width = attrs["kernel_size"]
    rows, columns = attrs["strides"]
    down, across = attrs["dilation_rate"]
    same = attrs["padding"] == "same"
    return Window((height, width), (rows, columns), (down, across), same)


_TIMED_DENSE = frozenset({"activation", "use_bias"})
_TIMED = _TIMED_DENSE | set(
    "kernel_size strides padding dilation_rate groups depth_multiplier".split()
)


def _conv(
    kernel_axes: Mapping[int, str],
    uses: Uses,
    *,
    maps_rows: bool = False,
    integers: IntegerRule | None = None,
) -> Op:
    out_axis = next(axis for axis, role in kernel_axes.items() if role == OUT)
    return Op(
        couple=_convolution,
        note="reads input channels, makes `filters`; groups > 1: a group goes as a whole",
        resize=_resize_convolution,
        weights={"kernel": kernel_axes, "bias": {-1: OUT}},
        uses={"kernel": uses},
        kernel="kernel",
        folds=("kernel", (out_axis,)),
        window=_window if maps_rows else None,
        timed=_TIMED,
        integers=integers,
    )


_DEPTHWISE = Op(
    couple=_depthwise,
    note="output channels c·m … c·m+m-1 are input channel c (m = `depth_multiplier`)",
    weights={"kernel": {-2: IN}, "bias": {-1: OUT}},
    uses={"kernel": window_uses},
    folds=("kernel", (-2, -1)),
    timed=_TIMED,
)
_SEPARABLE = Op(
    couple=_separable,
    note="a depthwise and a 1x1 convolution: reads input channels, makes `filters`",
    resize=_resize_convolution,
    weights={
        "depthwise_kernel": {-2: IN},
        "pointwise_kernel": {-2: MID, -1: OUT},
        "bias": {-1: OUT},
    },
    uses={"depthwise_kernel": window_uses, "pointwise_kernel": position_uses},
    kernel="pointwise_kernel",
    folds=("pointwise_kernel", (-1,)),
    timed=_TIMED,
)

# By rank. The converter refuses scales per channel of one-dimensional kernels, as of Dense ones.
_CONVOLUTION_INTEGERS = {1: _integers(()), 2: _integers((-1,))}

ROWS: dict[str, Op] = {
    "keras.layers.Dense": Op(
        couple=_dense,
        note="reads the last axis, makes `units`; channels on another axis pass",
        resize=_resize_last("units"),
        weights={"kernel": {-2: IN, -1: OUT}, "bias": {-1: OUT}},
        uses={"kernel": position_uses},
        kernel="kernel",
        folds=("kernel", (-1,)),
        window=lambda attrs: Window(),
        timed=_TIMED_DENSE,
        integers=_integers(()),  # the converter refuses scales per unit
    ),
    "keras.layers.Embedding": Op(
        couple=_embedding,
        note="makes `output_dim` channels",
        resize=_resize_last("output_dim"),
        weights={"embeddings": {-1: OUT}},
    ),
}
for _rank in (1, 2, 3):
    ROWS[f"keras.layers.Conv{_rank}D"] = _conv(
        {-2: IN, -1: OUT},
        window_uses,
        maps_rows=_rank == 2,
        integers=_CONVOLUTION_INTEGERS.get(_rank),
    )
    ROWS[f"keras.layers.Conv{_rank}DTranspose"] = _conv(
        {-1: IN, -2: OUT}, transposed_uses, integers=_integers(()) if _rank == 2 else None
    )
for _rank in (1, 2):
    ROWS[f"keras.layers.DepthwiseConv{_rank}D"] = dataclasses.replace(
        _DEPTHWISE, integers=_integers((-2, -1) if _rank == 2 else ())
    )
    ROWS[f"keras.layers.SeparableConv{_rank}D"] = _SEPARABLE
