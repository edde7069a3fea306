"""The law of cutting: the masked network and the shrunk one compute the same.

Masked: the original network with a 0/1 Multiply in front of every kernel that reads a cut channel.
It holds by construction (see `utils.graph.channels`); this measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from utils.graph.channels import channel_groups
from utils.graph.ir import Graph, Node
from utils.graph.keras_io import to_keras
from utils.graph.surgery import Keep, masked_model, shrink

TOLERANCE = 1e-5
"""Largest allowed max|difference| / max|output| in float32."""

TOLERANCE_FLOAT64 = 1e-10
"""The same in float64."""

_SINGLE, _DOUBLE = "float32", "float64"


def random_keep(graph: Graph, ratio: float, seed: int) -> dict[str, np.ndarray]:
    """Choose channels to cut at random.

    Args:
        graph: the network.
        ratio: fraction removed of every prunable group, in [0, 1); at least one channel stays of
            the group and of each of its blocks.
        seed: of the choice.

    Returns:
        bool array [size] for each prunable group, True = keep.
    """
    generator = np.random.default_rng(seed)
    keep = {}
    for group in channel_groups(graph):
        if not group.prunable:
            continue
        mask = np.ones(group.size, dtype=bool)
        num_removed = min(round(ratio * group.size), group.size - 1)
        mask[generator.choice(group.size, num_removed, replace=False)] = False
        for block in group.blocks:
            if not mask[block].any():
                mask[generator.choice(block)] = True
        keep[group.name] = mask
    return keep


def law_error(graph: Graph, keep: Keep, inputs: Any, reader_keep: Keep | None = None) -> float:
    """Compare the masked with the shrunk network.

    Args:
        graph: the network.
        keep: see `shrink`.
        inputs: a batch for the model, in its input structure.
        reader_keep: see `shrink`.

    Returns:
        max|difference| / max|output|, the largest over the outputs.
    """
    masked = masked_model(graph, keep, reader_keep)
    shrunk = to_keras(shrink(graph, keep, reader_keep))
    return relative_error(masked(inputs, training=False), shrunk(inputs, training=False))


def in_float64(graph: Graph) -> Graph:
    """Put a graph in double precision, where rounding neither hides an error nor feigns one.

    In single precision a deep network may enlarge rounding errors to 1e-4; the law then has to be
    told from them.

    Args:
        graph: a network in float32.

    Returns:
        The same network with float64 weights, to be called on float64 inputs.
    """

    def node_in_float64(node: Node) -> Node:
        dtypes = tuple(_DOUBLE if dtype == _SINGLE else dtype for dtype in node.output_dtypes)
        return node.replace(attrs=_attrs_in_float64(node.attrs), output_dtypes=dtypes)

    params = {
        layer: {
            name: array.astype(_DOUBLE) if array.dtype == _SINGLE else array
            for name, array in arrays.items()
        }
        for layer, arrays in graph.params.items()
    }
    return graph.replace(nodes=tuple(map(node_in_float64, graph.nodes)), params=params)


def _attrs_in_float64(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Put a layer's attrs, and those of layers inside of it, in double precision."""
    found = {**attrs, "dtype": _DOUBLE} if "dtype" in attrs else dict(attrs)
    for key, value in attrs.items():
        if isinstance(value, Mapping) and value.get("module") == "keras.layers":
            found[key] = {**value, "config": _attrs_in_float64(value["config"])}
    return found


def relative_error(expected: Any, actual: Any) -> float:
    """Largest max|difference| / max|expected| over the tensors of two equal structures.

    Example:
        >>> relative_error([np.array([1.0, -4.0])], [np.array([1.0, -3.0])])
        0.25
    """
    pairs = zip(keras.tree.flatten(expected), keras.tree.flatten(actual), strict=True)
    errors = [0.0]
    for first, second in pairs:
        first, second = np.asarray(first), np.asarray(second)
        scale = np.abs(first).max(initial=0.0) or 1.0
        errors.append(float(np.abs(first - second).max(initial=0.0) / scale))
    return float(np.max(errors))  # NaN, which `max` may pass over
