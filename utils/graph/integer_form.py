"""The form of a network that an all-int8 file is made of: every kernel by itself.

`integer_form` rewrites a network so that it can be trained: it computes the same, with

- activations that no int8 kernel holds (hard-swish, softmax, …) in layers of their own;
- hard-sigmoid as `relu6(x + 3) / 6`, whose three parts have int8 kernels;
- separable convolutions as their two;
- sums and products of more than two as several of two: each needs a range of its own;
- batch norm folded where the kernel has one scale for all channels: there the grid must fit the
  folded weights. Behind other kernels it stays: with a scale per output channel the integers of the
  folded kernel are those of the kernel itself.

`inference_form` is what then runs: all batch norm folded, ReLU fused. A batch norm that no kernel
stands in front of becomes a 1x1 depthwise convolution, which is one int8 operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from utils.graph import ops
from utils.graph.fold import Origins, fold_norms, fuse_activations
from utils.graph.ir import Graph, Node, Ref, Shape, rename_inputs, rename_refs, unique_name
from utils.graph.ops_weighted import FUSED
from utils.graph.row import IntegerForm

_ACTIVATION = "keras.layers.Activation"
_CONVOLUTION = "keras.layers.Conv2D"
_RELU = "keras.layers.ReLU"
_DEPTHWISE = "keras.layers.DepthwiseConv2D"
_NUMPY = "keras.src.ops.numpy"
_MAP_RANK = 4
_MERGES = ("keras.layers.Add", "keras.layers.Multiply")


def integer_form(graph: Graph) -> Graph:
    """Rewrite a network; see the module.

    Args:
        graph: the network; it is not changed.

    Returns:
        A network with equal outputs, trainable as before.
    """
    graph = _rewritten(graph, _separable_as_two)
    graph = _rewritten(graph, _two_by_two)
    graph = _rewritten(graph, _activation_apart)
    graph = _rewritten(graph, _hard_sigmoid_in_parts)
    return fold_norms(graph, _has_one_scale)[0]


def inference_form(graph: Graph) -> tuple[Graph, Origins]:
    """Fuse a network of the integer form; see the module.

    Args:
        graph: what `integer_form` gave, trained or not.

    Returns:
        The fused network, and where its tensors come from.
    """
    folded, first = fold_norms(graph)
    whole = _rewritten(folded, _norm_as_depthwise)
    fused, second = fuse_activations(whole, FUSED)
    origins = {**first, **{ref: first.get(old, old) for ref, old in second.items()}}
    return fused, {ref: old for ref, old in origins.items() if ref.node in _names(fused)}


def _names(graph: Graph) -> set[str]:
    return {node.name for node in graph.nodes}


Parts = tuple[tuple[Node, ...], dict[str, dict[str, np.ndarray]]] | None
"""Nodes in place of one, the last of which gives its output, and weights by layer."""


def _rewritten(graph: Graph, parts_of: Callable[[Graph, Node, set[str]], Parts]) -> Graph:
    """Put several nodes in the place of one; calls of shared layers stay."""
    taken = _names(graph) | {node.layer for node in graph.nodes}
    nodes: list[Node] = []
    params = dict(graph.params)
    renamed: dict[Ref, Ref] = {}
    for original in graph.nodes:
        node = rename_inputs(original, renamed)
        found = parts_of(graph, node, taken) if len(graph.calls(node.layer)) == 1 else None
        if found is None:
            nodes.append(node)
            continue
        parts, weights = found
        taken |= {part.name for part in parts}
        nodes += parts
        params.pop(node.layer, None)
        params.update(weights)
        renamed[Ref(node.name)] = Ref(parts[-1].name)
    return graph.replace(
        nodes=tuple(nodes),
        params=params,
        output_structure=rename_refs(graph.output_structure, renamed),
    )


def _config(op: str, node: Node, **settings: Any) -> dict[str, Any]:
    """Give the attrs of a Keras layer that takes a node's place, with Keras' defaults."""
    made = getattr(keras.layers, op.rpartition(".")[2])(**settings)
    dtype = node.attrs.get("dtype")
    return {**made.get_config(), **({} if dtype is None else {"dtype": dtype})}


def _form(graph: Graph, node: Node) -> IntegerForm | None:
    row = ops.find(graph, node)
    return None if row is None or row.integers is None else row.integers(node)


def _has_one_scale(graph: Graph, node: Node) -> bool:
    form = _form(graph, node)
    return form is not None and () in form.weights.values()


def _activation_apart(graph: Graph, node: Node, taken: set[str]) -> Parts:
    """Give an activation that no kernel holds a layer of its own."""
    row, activation = ops.find(graph, node), node.attrs.get("activation")
    if row is None or row.folds is None or activation in FUSED:
        return None
    name = unique_name(f"{node.name}_activation", taken)
    behind = node.replace(
        name=name,
        layer=name,
        op=_ACTIVATION,
        attrs=_config(_ACTIVATION, node, name=name, activation=activation),
        args=(Ref(node.name),),
        kwargs={},
    )
    linear = node.with_attrs(activation="linear")
    return (linear, behind), {node.layer: dict(graph.params.get(node.layer, {}))}


def _hard_sigmoid_in_parts(graph: Graph, node: Node, taken: set[str]) -> Parts:
    """Write hard-sigmoid as relu6(x + 3) / 6."""
    is_layer = node.op == _ACTIVATION and node.attrs.get("activation") == "hard_sigmoid"
    if not is_layer and node.op != "keras.src.ops.nn.HardSigmoid":
        return None

    def part(ending: str, op: str, attrs: dict[str, Any], *args: Any) -> Node:
        name = unique_name(f"{node.name}_{ending}", taken)
        return node.replace(
            name=name, layer=name, op=op, attrs={**attrs, "name": name}, args=args, kwargs={}
        )

    shifted = part("shifted", f"{_NUMPY}.Add", {}, node.inputs[0], 3.0)
    cut = part("cut", _RELU, _config(_RELU, node, max_value=6.0), Ref(shifted.name))
    scaled = part("scaled", f"{_NUMPY}.Multiply", {}, Ref(cut.name), 1.0 / 6.0)
    return (shifted, cut, scaled), {}


def _separable_as_two(graph: Graph, node: Node, taken: set[str]) -> Parts:
    """Write a separable convolution of maps as a depthwise and a 1x1 convolution."""
    if node.op != "keras.layers.SeparableConv2D":
        return None
    arrays, attrs = graph.params[node.layer], node.attrs
    name = unique_name(f"{node.name}_depthwise", taken)
    channels = arrays["pointwise_kernel"].shape[-2]
    spatial = ("kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier")
    depthwise = node.replace(
        name=name,
        layer=name,
        op=_DEPTHWISE,
        attrs=_config(
            _DEPTHWISE,
            node,
            name=name,
            use_bias=False,
            **{key: attrs[key] for key in (*spatial, "data_format")},
        ),
        output_shapes=((*node.output_shapes[0][:-1], channels),),
    )
    point = node.replace(
        op=_CONVOLUTION,
        attrs=_config(
            _CONVOLUTION,
            node,
            name=node.layer,
            kernel_size=(1, 1),
            **{key: attrs[key] for key in ("filters", "activation", "use_bias", "data_format")},
        ),
        args=(Ref(name),),
        kwargs={},
    )
    bias = {"bias": arrays["bias"]} if "bias" in arrays else {}
    weights = {
        name: {"kernel": arrays["depthwise_kernel"]},
        node.layer: {"kernel": arrays["pointwise_kernel"], **bias},
    }
    return (depthwise, point), weights


def _two_by_two(graph: Graph, node: Node, taken: set[str]) -> Parts:
    """Write a sum or product of many tensors as Keras computes it: one after the other."""
    shapes = [graph.shape(ref) for ref in graph.node(node.name).inputs]
    if node.op not in _MERGES or len(shapes) <= 2 or len({len(shape) for shape in shapes}) > 1:
        return None
    parts: list[Node] = []
    total, shape = node.inputs[0], shapes[0]
    for number, other in enumerate(node.inputs[1:], start=1):
        is_last = number == len(shapes) - 1
        name = node.name if is_last else unique_name(f"{node.name}_{number}", taken)
        taken = taken | {name}
        shape = _broadcast(shape, shapes[number])
        attrs = {**node.attrs, "name": name}
        part = node.replace(name=name, layer=name, attrs=attrs, args=([total, other],), kwargs={})
        parts.append(part.replace(output_shapes=(shape,)))
        total = Ref(name)
    return tuple(parts), {}


def _broadcast(left: Shape, right: Shape) -> Shape:
    """Give the shape of a sum of two tensors; None is any size."""
    sizes = np.broadcast_shapes(*([size or 0 for size in shape] for shape in (left, right)))
    return tuple(size or None for size in sizes)


def _norm_as_depthwise(graph: Graph, node: Node, taken: set[str]) -> Parts:
    """Write an affine map of the channels of maps as a 1x1 depthwise convolution."""
    row = ops.find(graph, node)
    if row is None or row.affine is None or len(node.output_shapes[0]) != _MAP_RANK:
        return None
    if node.attrs["axis"] % _MAP_RANK != _MAP_RANK - 1:
        return None
    scale, shift = row.affine(graph.params[node.layer], node.attrs)
    dtype = node.output_dtypes[0]
    convolution = node.replace(
        op=_DEPTHWISE,
        attrs=_config(_DEPTHWISE, node, name=node.layer, kernel_size=(1, 1)),
        kwargs={},
    )
    kernel = scale.reshape(1, 1, -1, 1).astype(dtype)
    return (convolution,), {node.layer: {"kernel": kernel, "bias": shift.astype(dtype)}}
