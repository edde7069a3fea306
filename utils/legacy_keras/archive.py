"""Networks out of the `.keras` files of Keras 2.12 to 2.15: today's archive, older settings."""

from __future__ import annotations

import json
import math
import os
import zipfile
from typing import Any

import h5py
import keras

from utils.archives import CONFIG_ENTRY, WEIGHTS_ENTRY
from utils.errors import InputError
from utils.folders import passing_folder
from utils.graph.keras_io import without_memory
from utils.graph.keras_reading import first_line
from utils.legacy_keras import hard_sigmoid
from utils.legacy_keras.network import Building
from utils.legacy_keras.reader import naming
from utils.legacy_keras.settings import plain

_METADATA = "metadata.json"
_NOT_THE_NETWORK = ("optimizer/", "metrics/")
_MAX_METADATA_BYTES = 1 << 20
_Path = str | os.PathLike[str]


def is_keras_2_archive(path: _Path) -> bool:
    """Whether Keras 2 wrote an archive, which `check_keras_archive` has admitted."""
    with zipfile.ZipFile(path) as archive:
        if _METADATA not in archive.namelist():
            return False
        if archive.getinfo(_METADATA).file_size > _MAX_METADATA_BYTES:
            return False
        try:
            found = json.loads(archive.read(_METADATA))
        except (ValueError, RecursionError):
            return False
    return isinstance(found, dict) and str(found.get("keras_version")).startswith("2.")


def load_archive(path: _Path, *, allow_unsafe: bool = False) -> keras.Model:
    """Build the network of such an archive, with its weights; see `reader.load_network`.

    Args:
        path: the file, which `check_keras_archive` has admitted.
        allow_unsafe: also run Python code of the file's (Lambda layers).

    Raises:
        InputError: if the installed Keras cannot build it or its weights don't fit.
    """
    with passing_folder() as folder, naming(path):
        with zipfile.ZipFile(path) as archive:
            if WEIGHTS_ENTRY not in archive.namelist():
                raise InputError(f"lacks {WEIGHTS_ENTRY!r}. Save the model anew.")
            description = plain(json.loads(archive.read(CONFIG_ENTRY)))
            weights = archive.extract(WEIGHTS_ENTRY, folder)

        def build() -> tuple[Building, keras.Model]:
            building = Building(is_keras_2=True, allow_unsafe=allow_unsafe)
            return building, building.network(description)

        with without_memory():
            _refuse_other_size(build()[1], weights)
        building, model = build()
        try:
            model.load_weights(weights)
        except Exception as error:  # Keras compares names and shapes as it goes
            raise InputError(f"its weights don't fit its layers: {first_line(error)}") from error
        hard_sigmoid.restore(model, building.scaled)
        return model


def _refuse_other_size(model: keras.Model, weights: str) -> None:
    """Compare the number of parameters before memory is taken for them."""
    stored = 0

    def add(place: str, item: Any) -> None:
        nonlocal stored
        if isinstance(item, h5py.Dataset) and not place.startswith(_NOT_THE_NETWORK):
            stored += item.size

    with h5py.File(weights, "r") as file:
        file.visititems(add)
    described = sum(math.prod(variable.shape) for variable in model.weights)
    if stored != described:
        raise InputError(
            f"describes a network of {described:,} parameters and holds {stored:,}: it is "
            "incomplete or was changed."
        )
