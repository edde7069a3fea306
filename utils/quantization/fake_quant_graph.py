"""Networks with fake quantization inside: by ranges of activations and limits of weights.

The plan (`integers.py`) says where quantizers stand; what they hold comes from calibration, from
training, or from a table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.fold import Origins
from utils.graph.insertion import Insertion, insert
from utils.graph.ir import Graph, Node, Ref, rename_inputs, rename_refs
from utils.quantization.bias_room import input_steps, limit_with_room
from utils.quantization.fake_quant import KERNEL_OP, RANGE_OP, Update, on_grid
from utils.quantization.integers import Ends, IntegerPlan, RangePlace, WeightPlace

NUM_STEPS = 255  # of the range of an int8 activation
SMALLEST_PART = 1e-5  # of the largest limit of a kernel, that every channel has


def with_ranges(
    graph: Graph,
    places: Sequence[RangePlace],
    ranges: Sequence[Ends],
    *,
    bits: int = 8,
    update: Update = "none",
    origins: Origins | None = None,
) -> Graph:
    """Put quantizers of activations into a network.

    Args:
        graph: the network, fused or as it is trained.
        places: where they stand in the fused network.
        ranges: least and greatest value of each.
        bits: of a value; 32 makes quantizers that let everything pass.
        update: what training does to the ranges, see `FakeQuant`.
        origins: where tensors of the fused network are in `graph`, see `utils.graph.integer_form`;
            None where it is the fused one.

    Returns:
        The network. Outputs that are quantized are given quantized.
    """
    insertions = []
    for place, (least, greatest) in zip(places, ranges, strict=True):
        refs = [(origins or {}).get(ref, ref) for ref in place.refs]
        fixed = place.fixed is not None
        attrs: dict[str, Any] = {"bits": bits, "update": "none" if fixed else update}
        insertions.append(
            Insertion(
                source=refs[0],
                readers=_readers(graph, refs[0]),
                also=[(ref, _readers(graph, ref)) for ref in refs[1:]],
                outputs=True,
                name=place.name,
                op=RANGE_OP,
                attrs=attrs,
                params={
                    "least": np.array(least, np.float32),
                    "greatest": np.array(greatest, np.float32),
                },
            )
        )
    return insert(graph, insertions)[0]


def _readers(graph: Graph, ref: Ref) -> list[str]:
    return [node.name for node in graph.consumers(ref.node) if ref in node.inputs]


def deployed_graph(
    fused: Graph,
    plan: IntegerPlan,
    ranges: Sequence[Ends],
    weights: Sequence[tuple[WeightPlace, int, np.ndarray]],
) -> Graph:
    """Make the network that an int8 file is converted from.

    Args:
        fused: the network in its inference form.
        plan: its integers.
        ranges: least and greatest value of each of the plan's; they are moved onto their grids.
        weights: of each kernel the bits of a weight, and the largest absolute values of its grids,
            float [number of channels with scales of their own], or one.

    Returns:
        The network with all quantizers in it.
    """
    ends = [
        place.fixed or on_grid(*found)
        for place, found in zip(plan.activations, ranges, strict=True)
    ]
    graph = with_ranges(fused, plan.activations, ends)
    steps = input_steps(fused, plan, [(high - low) / NUM_STEPS for low, high in ends])
    kernels = {place.layer: (place, bits, limit) for place, bits, limit in weights}
    nodes = tuple(
        _with_kernel(node, *kernels[node.layer][:2]) if node.layer in kernels else node
        for node in graph.nodes
    )
    params: dict[str, Mapping[str, np.ndarray]] = dict(graph.params)
    for layer, (place, bits, limit) in kernels.items():
        own = floored_limit(limit)
        if "bias" in graph.params[layer] and layer in steps:
            own = limit_with_room(own, graph.params[layer]["bias"], steps[layer], bits)
        params[layer] = {"limit": own.reshape((-1,) if place.axes else ()), **graph.params[layer]}
    return graph.replace(nodes=nodes, params=params)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TakenOut:
    """A network without its quantizers, and what they held.

    Attributes:
        graph: the network, its kernels as they were.
        ranges: node -> least and greatest value of its output.
        bits: layer -> bits of a weight of its kernel.
    """

    graph: Graph
    ranges: Mapping[str, Ends]
    bits: Mapping[str, int]


def without_quantizers(graph: Graph) -> TakenOut:
    """Undo `deployed_graph`.

    Args:
        graph: made by it.
    """
    renamed: dict[Ref, Ref] = {}
    ranges: dict[str, Ends] = {}
    bits: dict[str, int] = {}
    nodes, params = [], dict(graph.params)
    for node in graph.nodes:
        own = params.get(node.layer, {})
        if node.op == RANGE_OP:
            (source,) = node.inputs
            source = renamed.get(source, source)
            renamed[Ref(node.name)] = source
            held = graph.params[node.layer]
            ranges[source.node] = (float(held["least"]), float(held["greatest"]))
            params.pop(node.layer, None)
            continue
        if node.op == KERNEL_OP:
            layer = node.attrs["layer"]
            bits[node.layer] = int(node.attrs["bits"])
            op = f"{layer['module']}.{layer['class_name']}"
            node = node.replace(op=op, attrs=layer["config"])
            params[node.layer] = {name: held for name, held in own.items() if name != "limit"}
        nodes.append(rename_inputs(node, renamed))
    plain = graph.replace(
        nodes=tuple(nodes),
        params=params,
        output_structure=rename_refs(graph.output_structure, renamed),
    )
    return TakenOut(graph=plain, ranges=ranges, bits=bits)


def _with_kernel(node: Node, place: WeightPlace, bits: int) -> Node:
    module, _, class_name = node.op.rpartition(".")
    layer = {
        "module": module,
        "class_name": class_name,
        "config": dict(node.attrs),
        "registered_name": None,
    }
    attrs = {
        "name": node.layer,
        "layer": layer,
        "weight": place.weight,
        "bits": bits,
        "axes": list(place.axes),
    }
    return node.replace(op=KERNEL_OP, attrs=attrs)


def weight_limit(kernel: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Give the largest absolute value of each channel, float32, shaped as `FakeQuantKernel` has it.

    Args:
        kernel: the weight.
        axes: see `WeightPlace`.

    Example:
        >>> weight_limit(np.array([[1.0, -3.0], [-2.0, 0.5]]), (-1,))
        array([2., 3.], dtype=float32)
    """
    rest = tuple(axis for axis in range(-kernel.ndim, 0) if axis not in tuple(axes))
    found = np.abs(kernel).max(axis=rest)
    return found.astype(np.float32).reshape(-1) if axes else found.astype(np.float32)


def floored_limit(limit: np.ndarray) -> np.ndarray:
    """Widen the grids of channels that are next to nothing beside the others of a kernel.

    Their weights, all or nearly all zero, would give scales that integer kernels cannot use.
    """
    least = SMALLEST_PART * float(np.max(limit, initial=0.0)) or 1.0
    return np.maximum(np.asarray(limit, np.float32), np.float32(least))
