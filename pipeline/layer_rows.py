"""A row per layer of the report: both networks side by side, and what the learners say."""

from collections.abc import Mapping, Sequence
from typing import Any

from utils.graph import Complexity, Graph
from utils.report import Layer
from utils.weight_facts import bits, kernels, sparsity


def layer_rows(
    graphs: Sequence[Graph], counts: Sequence[Complexity], facts: Mapping[str, Mapping[str, Any]]
) -> tuple[Layer, ...]:
    """Set the layers with weights of two networks side by side, by name.

    Args:
        graphs: of the networks before and after.
        counts: their costs.
        facts: what the learners say, by layer and name.

    Returns:
        A row for each layer of the network before that is still there.
    """
    after = {row.name: row for row in counts[1].rows}
    layers = []
    for row in counts[0].rows:
        if not row.params or row.name not in after:
            continue
        now = after[row.name]
        shapes = [_channels(graph, row.name) for graph in graphs]
        (in_before, out_before), (in_after, out_after) = shapes
        weights = [list(graph.params[row.name].values()) for graph in graphs]
        layers.append(
            Layer(
                name=row.name,
                op=row.op,
                channels_in_before=in_before,
                channels_in_after=in_after,
                channels_out_before=out_before,
                channels_out_after=out_after,
                params_before=row.params,
                params_after=now.params,
                flops_before=row.flops,
                flops_after=now.flops,
                sparse_flops_before=row.sparse_flops,
                sparse_flops_after=now.sparse_flops,
                ratio=0.0 if not in_before or in_after is None else 1 - in_after / in_before,
                sparsity_before=sparsity(weights[0]),
                sparsity_after=sparsity(weights[1]),
                bits_before=bits(weights[0]),
                bits_after=bits(weights[1]),
                facts=dict(facts.get(row.name, {})),
            )
        )
    return tuple(layers)


def mean_bits(graph: Graph) -> float | None:
    """Average the bits of kernels over their weights; None without a kernel."""
    total = weighted = 0
    for arrays in graph.params.values():
        needed = bits(arrays.values())
        if needed is not None:
            size = sum(kernel.size for kernel in kernels(arrays.values()))
            total, weighted = total + size, weighted + size * needed
    return weighted / total if total else None


def _channels(graph: Graph, layer: str) -> tuple[int | None, int | None]:
    """Input and output channels of a layer's first call."""
    node = graph.calls(layer)[0]
    inputs = graph.shape(node.inputs[0])[-1] if node.inputs else None
    return inputs, node.output_shapes[0][-1]
