"""Copies of networks: equal outputs, equal randomness, nothing shared."""

from __future__ import annotations

from collections.abc import Callable

import keras

from utils.graph.ir import Graph
from utils.graph.keras_io import build, read


def copy_network(
    model: keras.Model,
    *,
    allow_unsafe: bool = False,
    change: Callable[[Graph], Graph] = lambda graph: graph,
) -> keras.Model:
    """Copy a network through its graph.

    `keras.models.clone_model` with `set_weights` is no copy: what a Normalization or a vocabulary
    learned is lost, random seeds are drawn anew, and a Lambda is loaded from its bytes.

    Args:
        model: a built Keras model, see `from_keras`. It is not changed.
        allow_unsafe: also copy layers that run arbitrary Python code, such as Lambda.
        change: what the copy differs in; it may change arguments of calls, not layers.

    Returns:
        An uncompiled Functional model with the same name, layers (those of nested models among
        them), types, weights in the same order, `trainable` flags, and state of random seeds.

    Raises:
        InputError: see `from_keras` and `to_keras`.
    """
    graph, originals = read(model, allow_unsafe=allow_unsafe)
    copy, _, copies = build(change(graph))
    for layer, operation in originals.items():
        if isinstance(operation, keras.Layer):
            _copy_state(operation, copies[layer])
    return copy


def _copy_state(layer: keras.Layer, copy: keras.Layer) -> None:
    """Copy what is in no config: flags of inner layers, seeds, statistics."""
    for original, part in zip(layer._flatten_layers(), copy._flatten_layers(), strict=True):
        part._trainable = original._trainable
    for original, variable in zip(layer.variables, copy.variables, strict=True):
        variable.assign(original)
        variable.trainable = original.trainable
