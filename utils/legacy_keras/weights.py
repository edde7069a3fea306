"""Weights in the `.h5` layout of Keras 2: a group per layer, in it the arrays that it names.

    attrs: layer_names = [conv, …]
    conv/  attrs: weight_names = [conv/kernel:0, conv/bias:0]
    conv/conv/kernel:0

In a group come first the weights that training changes, then the others; those of a model inside
are all in its one group.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import h5py
import keras

from utils.errors import InputError
from utils.hdf5 import CheckedHdf5

_OWN_WEIGHTS = "top_level_model_weights"
_KINDS = {"depthwise_kernel": "kernel"}  # what a depthwise convolution's kernel is called today
_KNOWN = frozenset(
    "kernel bias gamma beta moving_mean moving_variance recurrent_kernel pointwise_kernel "
    "embeddings alpha mean variance count".split()
)
_FLIPPED = "theano"
Pair = tuple[Any, "Stored"]


@dataclasses.dataclass(frozen=True)
class Stored:
    """An array in the file.

    Attributes:
        name: `conv/kernel:0`.
        dataset: the array, unread.
    """

    name: str
    dataset: h5py.Dataset

    @property
    def kind(self) -> str:
        """What the array is to its layer: `kernel`, `bias`, `gamma`, …."""
        kind = re.sub(r"(_\d+)?(:\d+)?$", "", self.name.rpartition("/")[2])
        return _KINDS.get(kind, kind)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.dataset.shape)


def stored_weights(file: CheckedHdf5, group: h5py.Group) -> dict[str, list[Stored]]:
    """List the arrays of each layer that has any.

    Args:
        file: the open file.
        group: what holds the layers' groups.

    Returns:
        Arrays by layer name, in the file's order.

    Raises:
        InputError: if the layout is another one, or the network was trained with Theano, whose
            convolutions are mirrored.
    """
    if file.text(group, "backend") == _FLIPPED:
        raise InputError(
            f"{file.path}: was written with the Theano backend, whose kernels are mirrored. Save "
            "it anew with the TensorFlow backend."
        )
    found = {}
    for layer in [*file.texts(group, "layer_names"), _OWN_WEIGHTS]:
        if layer == _OWN_WEIGHTS and layer not in group:
            continue
        place = file.group(group, layer)
        names = file.texts(place, "weight_names")
        if names:
            found[layer] = [Stored(name, file.dataset(place, name)) for name in names]
    return found


def layers_of(model: keras.Model, names: Mapping[str, str]) -> dict[str, keras.Layer]:
    """List the layers with weights by the names they have in the file.

    Args:
        model: the network.
        names: what layers are called in the network by their names in the file, where these differ.
    """
    in_file = {here: there for there, here in names.items()}
    return {in_file.get(la.name, la.name): la for la in model.layers if la.weights}


def pairs_by_name(
    model: keras.Model, stored: Mapping[str, Sequence[Stored]], names: Mapping[str, str]
) -> list[Pair]:
    """Say which array of the file belongs to which variable, by the layers' names.

    Args:
        model: the network that the same file describes.
        stored: see `stored_weights`.
        names: see `layers_of`.

    Returns:
        (variable, array) for every variable.

    Raises:
        InputError: if they don't fit each other; names the first layer that does not.
    """
    layers = layers_of(model, names)
    for name in [*layers, *stored]:
        if name not in stored or name not in layers:
            holder, other = ("network", "weights") if name in layers else ("weights", "network")
            raise InputError(
                f"the layer {name!r} is in its {holder}, but not in its {other}: the file is "
                "incomplete."
            )
    return [pair for name, layer in layers.items() for pair in _layer_pairs(layer, stored[name])]


def pairs_by_order(model: keras.Model, stored: Mapping[str, Sequence[Stored]]) -> list[Pair]:
    """Say which array belongs to which variable of a network that others have built.

    Layers are matched by their names if these are the same ones, else by their order: names that
    Keras made up (`conv2d_3`) differ between two copies of one network.

    Raises:
        InputError: see `pairs_by_name`.
    """
    layers = layers_of(model, {})
    if set(layers) == set(stored):
        return pairs_by_name(model, stored, {})
    if len(layers) != len(stored):
        raise InputError(
            f"it holds weights of {len(stored)} layers, the network has {len(layers)} with weights."
        )
    zipped = zip(layers.values(), stored.values(), strict=True)
    return [pair for layer, arrays in zipped for pair in _layer_pairs(layer, arrays)]


def _layer_pairs(layer: keras.Layer, arrays: Sequence[Stored]) -> list[Pair]:
    orders = (layer.trainable_weights + layer.non_trainable_weights, layer.weights)
    for variables in orders:  # in a model that was frozen since, the second is the file's
        if len(variables) == len(arrays) and all(map(_fits, variables, arrays)):
            return list(zip(variables, arrays, strict=True))
    expected = ", ".join(f"{v.name}{list(v.shape)}" for v in orders[0])
    received = ", ".join(f"{array.kind}{list(array.shape)}" for array in arrays)
    raise InputError(
        f"the weights of the layer {layer.name!r} don't fit: the network has {expected}; the file "
        f"has {received}."
    )


def _fits(variable: Any, array: Stored) -> bool:
    # A user's own layer may have called a weight anything then and now.
    both_known = {array.kind, variable.name} <= _KNOWN
    same_kind = array.kind == variable.name or not both_known
    return same_kind and tuple(variable.shape) == array.shape


def assign(file: CheckedHdf5, pairs: Iterable[Pair]) -> None:
    """Read the arrays and set the variables.

    Raises:
        InputError: see `CheckedHdf5.read`.
    """
    for variable, array in pairs:
        variable.assign(file.read(array.dataset))
