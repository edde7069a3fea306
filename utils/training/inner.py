"""Tensors inside a network, given beside its outputs in the same pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from utils.graph.keras_reading import functional_model


def with_layers(network: keras.Model, names: Sequence[str]) -> keras.Model:
    """Make a model of the same layers that gives outputs of inner layers beside the network's own.

    Args:
        network: built model.
        names: layers of it, each called once. Those of a model nested in it cannot be named.

    Returns:
        Model with the outputs (the network's, list of the layers'); a layer with several outputs
        gives a list of them.

    Raises:
        ValueError: if there is no such layer, or it is called more than once.
    """
    functional = functional_model(network)
    found: dict[str, list[Any]] = {}
    for node in layer_calls(functional):
        found.setdefault(node.operation.name, []).append(node.output_tensors)
    for name in names:
        if len(found.get(name, ())) != 1:
            number = f"calls it {len(found[name])} times" if name in found else "has none"
            raise ValueError(
                f"a loss term needs the output of the layer {name!r}: network {network.name!r} "
                f"{number}. It can be one of: {', '.join(n for n in found if len(found[n]) == 1)}."
            )
    inner = [found[name][0][0] if len(found[name][0]) == 1 else found[name][0] for name in names]
    return keras.Model(functional.input, (functional.output, inner))


def layer_calls(functional: Any) -> list[Any]:
    """List the calls of a Functional model's layers, in the order of computation, without inputs.

    A layer's own `output` is that of its first call, which may belong to another model: a
    Sequential that was loaded from a file has called its layers several times.
    """
    return [
        node
        for node in calls(functional)
        if isinstance(node.operation, keras.Layer) and not node.is_input
    ]


def calls(functional: Any) -> list[Any]:
    """List the calls of a Functional model's operations in the order of computation."""
    by_depth = functional._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
