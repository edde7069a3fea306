"""Feature maps of two networks that can be compared: the hints of distillation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from utils.graph.keras_reading import functional_model
from utils.training.inner import calls, layer_calls

_MOVES_ONLY = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)


def common_maps(network: keras.Model, teacher: keras.Model) -> tuple[str, ...]:
    """Find the feature maps in which a network can be compared with its teacher.

    These are the sums of branches (`Add`): in a ResNet whose blocks were pruned inside, the end of
    every block. Of a resolution without such a sum it is the last map.

    Args:
        network: built model.
        teacher: built model of the same layers by name, of any widths. In one of other layers an
            equal name would mean another place.

    Returns:
        Names of layers, in the network's order. Each is called once, has trained layers before it,
        and gives one map [batch, height, width, channels] of the same static shape, larger than 1 x
        1, in both. Random layers do not count, nor padding and cropping, nor what comes behind a
        random augmentation of the input. Empty if there is no such layer.
    """
    if _layer_names(network) != _layer_names(teacher):
        return ()
    theirs = _maps(functional_model(teacher))
    common = {
        name: node
        for name, node in _maps(functional_model(network)).items()
        if name in theirs and _shape(node) == _shape(theirs[name])
    }
    sums = [name for name, node in common.items() if isinstance(node.operation, keras.layers.Add)]
    with_sum = {_shape(common[name])[:2] for name in sums}
    last = {_shape(node)[:2]: name for name, node in common.items()}
    chosen = {*sums, *(name for size, name in last.items() if size not in with_sum)}
    return tuple(name for name in common if name in chosen)


def _layer_names(network: keras.Model) -> list[str]:
    """Name the layers, once per call, sorted: networks may order parallel branches differently."""
    return sorted(node.operation.name for node in layer_calls(functional_model(network)))


def _maps(functional: Any) -> dict[str, Any]:
    """Collect the calls that give a comparable map, by the layer's name."""
    names = [node.operation.name for node in layer_calls(functional)]
    learned: set[int] = set()  # tensors
    augmented: set[int] = set()
    maps = {}
    for node in calls(functional):
        layer, before = node.operation, {id(tensor) for tensor in node.input_tensors}
        after = {id(tensor) for tensor in node.output_tensors}
        if before & learned or getattr(layer, "trainable_weights", None):
            learned |= after
        if before & augmented or (_is_random(layer) and not after & learned):
            augmented |= after
        if (
            names.count(layer.name) == 1
            and after & learned
            and not after & augmented
            and not _is_random(layer)
            and not isinstance(layer, _MOVES_ONLY)
            and _is_map(node.output_tensors)
        ):
            maps[layer.name] = node
    return maps


def _is_random(layer: Any) -> bool:
    """Tell dropout, noise and random preprocessing: Keras gives each a generator of seeds."""
    return any(hasattr(layer, name) for name in ("seed_generator", "generator"))


def _is_map(tensors: Sequence[keras.KerasTensor]) -> bool:
    if len(tensors) != 1 or len(tensors[0].shape) != 4 or None in tensors[0].shape[1:]:
        return False
    return tensors[0].shape[1] * tensors[0].shape[2] > 1


def _shape(node: Any) -> tuple[int, ...]:
    """Give (height, width, channels); one of the networks may have a fixed batch."""
    return tuple(node.output_tensors[0].shape[1:])
