"""A network with quantized activations, computed in float: what integers would give, but for sums.

Sums are exact in float where integer kernels round their multipliers; the difference is a step here
and there (`integer_network.py` has it exactly).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from utils.graph import Graph, Ref
from utils.graph.insertion import Insertion, insert, layer_name
from utils.graph.ir import rename_refs
from utils.quantization.activation import NO_BITS, OP
from utils.quantization.grid import Scaling


def with_quantizers(
    graph: Graph, scalings: Mapping[Ref, Scaling], bits: int, *, idle: bool = False
) -> Graph:
    """Put quantizers behind tensors.

    Args:
        graph: the network.
        scalings: the grid of each tensor, one group.
        bits: of an activation.
        idle: they let everything pass: a network with the same nodes that computes as `graph`.

    Returns:
        The network with `ActivationQuantizer` layers, which all that read the tensors read, the
        model's outputs included.
    """
    insertions = [
        Insertion(
            source=ref,
            readers=[node.name for node in graph.consumers(ref.node) if ref in node.inputs],
            name=layer_name(ref.node, "quantizer"),
            op=OP,
            attrs={
                "bits": NO_BITS if idle else bits,
                "zero_point": int(scaling.zero_point[0]),
                "learned": False,
            },
            params={"scale": scaling.scale.astype(np.float32).reshape(())},
        )
        for ref, scaling in scalings.items()
    ]
    changed, names = insert(graph, insertions)
    outputs = {ref: Ref(name) for ref, name in zip(scalings, names, strict=True)}
    return changed.replace(output_structure=rename_refs(changed.output_structure, outputs))
