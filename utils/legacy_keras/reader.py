"""Whole networks and weights out of `.h5` files of Keras 2, and of the `.h5` files of today's."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from utils.archives import damaged
from utils.errors import InputError
from utils.graph.keras_io import without_memory
from utils.hdf5 import CheckedHdf5, is_hdf5, open_hdf5
from utils.legacy_keras import hard_sigmoid
from utils.legacy_keras.network import Building
from utils.legacy_keras.settings import plain
from utils.legacy_keras.weights import assign, pairs_by_name, pairs_by_order, stored_weights

_NETWORK, _WEIGHTS = "model_config", "model_weights"
_Path = str | os.PathLike[str]


def holds_network(path: _Path) -> bool:
    """Whether an HDF5 file holds a whole network, description and weights.

    Raises:
        InputError: if the file is damaged.
    """
    with open_hdf5(path) as file:
        return _NETWORK in file.root.attrs


def is_legacy_weights(path: _Path) -> bool:
    """Whether a file holds weights in Keras 2's layout, alone or beside their network.

    Raises:
        InputError: if the file is damaged.
    """
    if not is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return _WEIGHTS in file.root or any(
            name.startswith("layer_names") for name in file.root.attrs
        )


def load_network(path: _Path, *, allow_unsafe: bool = False) -> keras.Model:
    """Build the network that an `.h5` file describes, with the file's weights.

    Args:
        path: the HDF5 file, whatever its ending.
        allow_unsafe: also run Python code of the file's (Lambda layers).

    Returns:
        An uncompiled Keras model. It computes what the one that was saved did; where today's Keras
        defines a function otherwise, its weights are changed to make up for that.

    Raises:
        InputError: if the file is damaged, holds weights only, or describes what the installed
            Keras cannot build or would compute in another way.
    """
    with open_hdf5(path) as file, naming(path):
        written = file.text(file.root, _NETWORK)
        if written is None:
            raise InputError(
                "holds weights, but no network to put them into. Give it as --pretrained_path "
                "together with the --model_helper that builds the network."
            )
        description = _parsed(file, written)
        stored = stored_weights(file, file.group(file.root, _WEIGHTS))

        version = file.text(file.root, "keras_version") or ""
        is_keras_2 = _is_keras_2(file, file.root)
        old_bilinear = re.fullmatch(r"2\.[0-2]\.\d+", version) is not None

        def build() -> tuple[Building, keras.Model, list[Any]]:
            building = Building(is_keras_2, allow_unsafe, old_bilinear)
            model = building.network(description)
            return building, model, pairs_by_name(model, stored, building.names)

        with without_memory():
            build()
        building, model, pairs = build()
        assign(file, pairs)
        _finalize(model)
        if building.is_keras_2:
            hard_sigmoid.restore(model, building.scaled)
        return model


def check_network(model: keras.Model, path: _Path) -> None:
    """Refuse a network that would not compute with a file's weights what Keras 2 did.

    Raises:
        InputError: if it has a hard sigmoid that no weights can make up for.
    """
    with open_hdf5(path) as file, naming(path):
        if _is_keras_2(file, file.root):
            hard_sigmoid.places(model)


def load_weights(model: keras.Model, path: _Path) -> None:
    """Set all weights of a network from an `.h5` file in Keras 2's layout.

    Args:
        model: the network; unchanged if the file is refused.
        path: the HDF5 file, with or without the network that the weights were saved from.

    Raises:
        InputError: if the file is damaged, its weights don't fit, or the network would not compute
            with them what Keras 2 did.
    """
    with open_hdf5(path) as file, naming(path):
        group = file.group(file.root, _WEIGHTS) if _WEIGHTS in file.root else file.root
        pairs = pairs_by_order(model, stored_weights(file, group))
        is_keras_2 = _is_keras_2(file, group)
        if is_keras_2:
            hard_sigmoid.places(model)  # refused before anything is changed
        assign(file, pairs)
        _finalize(model)
        if is_keras_2:
            hard_sigmoid.restore(model)


@contextlib.contextmanager
def naming(path: _Path) -> Iterator[None]:
    """Put a file's name in front of what is wrong with it."""
    try:
        yield
    except InputError as error:
        known = str(error).startswith(str(path))
        raise error if known else InputError(f"{path}: {error}") from error


def _parsed(file: CheckedHdf5, written: str) -> Mapping[str, Any]:
    try:
        description = plain(json.loads(written))
    except (ValueError, RecursionError) as error:
        raise damaged(file.path, f"its {_NETWORK!r} is not JSON ({error})") from error
    if not isinstance(description, Mapping):
        raise damaged(file.path, f"its {_NETWORK!r} describes no network")
    return description


def _is_keras_2(file: CheckedHdf5, group: Any) -> bool:
    version = file.text(group, "keras_version")
    if version is None or version.startswith("1."):
        raise InputError(
            f"was written by Keras {version or '1'}, files of Keras 2 and later are read. Save it "
            "anew with Keras 2."
        )
    return version.startswith("2.")


def _finalize(model: keras.Model) -> None:
    """Let layers that derive tensors from their weights do so (Normalization)."""
    for layer in model._flatten_layers():
        if layer.weights and hasattr(layer, "finalize_state"):
            layer.finalize_state()
