"""Feature maps of two networks that can be compared: the hints of distillation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

_COMPUTES_NOTHING = (
    keras.layers.InputLayer,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
)


def common_maps(network: keras.Model, teacher: keras.Model) -> tuple[str, ...]:
    """Find feature maps that two networks have in common.

    These are the sums of branches: in a ResNet whose blocks were pruned inside, the end of every
    block. Of a resolution without such a sum it is the last map.

    Args:
        network: functional or Sequential model.
        teacher: another one; the same before compression, as a rule.

    Returns:
        Names of layers, in the network's order. Both networks have a layer of that name, called
        once, whose output has the same static shape [batch, height, width, channels]. Inputs,
        padding and cropping do not count. Empty if the networks have no such layer in common.
    """
    theirs = _map_shapes(teacher)
    shapes = {name: size for name, size in _map_shapes(network).items() if theirs.get(name) == size}
    by_resolution: dict[tuple[int, ...], list[str]] = {}
    for name, shape in shapes.items():
        by_resolution.setdefault(shape[:2], []).append(name)
    chosen = set()
    for names in by_resolution.values():
        sums = [n for n in names if isinstance(network.get_layer(n), keras.layers.Add)]
        chosen.update(sums or names[-1:])
    return tuple(name for name in shapes if name in chosen)


def with_maps(network: keras.Model, names: Sequence[str]) -> keras.Model:
    """Make a model of the same layers that gives feature maps beside the outputs.

    Args:
        network: functional or Sequential model.
        names: layers whose outputs are wanted.

    Returns:
        Model with the outputs (the network's, list of maps).
    """
    maps = [network.get_layer(name).output for name in names]
    return keras.Model(network.inputs, (network_output(network), maps))


def network_output(network: keras.Model) -> Any:
    """Give the symbolic output of a network, or the structure of its outputs."""
    # A Sequential has no `output` until it is called as a part of another model.
    return network.outputs[0] if isinstance(network, keras.Sequential) else network.output


def _map_shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """Collect (height, width, channels) by name of layer."""
    shapes = {}
    for layer in model.layers:
        if isinstance(layer, _COMPUTES_NOTHING) or len(layer._inbound_nodes) != 1:
            continue
        outputs = keras.tree.flatten(layer.output)
        if len(outputs) == 1 and len(outputs[0].shape) == 4 and None not in outputs[0].shape[1:]:
            shapes[layer.name] = tuple(outputs[0].shape[1:])
    return shapes
