"""Load weights into a network from `.keras`, `.fpq`, `.h5`, `.weights.h5` or `.npz` of arrays.

Everything is compared before anything is assigned: a file of another network is refused with the
first weight, in the network's order, that does not fit.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.archives import WEIGHTS_ENTRY, check_dataset, first_words
from utils.command import notes
from utils.errors import InputError
from utils.files import (
    NETWORK_ENDINGS,
    PACKED_ENDING,
    check_keras_archive,
    load_keras_model,
    load_npz,
)
from utils.folders import passing_folder
from utils.frontends import check_network_path, framework_of

if TYPE_CHECKING:
    import keras

Translate = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
_ENDINGS = (*NETWORK_ENDINGS, ".npz")  # `.h5` is the end of `.weights.h5` too
_STATE_DICTS = (".pt", ".pth", ".th")  # PyTorch's weights without their network
_NOT_THE_NETWORK = ("optimizer/", "metrics/")  # in the weights of a whole `.keras` file


def check_pretrained_path(path: str | Path) -> None:
    """Refuse a path that `load_pretrained` could not read, without TensorFlow.

    Args:
        path: the file.

    Raises:
        InputError: if it has another ending or does not exist.
    """
    name = str(path)
    if not name.endswith((*_ENDINGS, *_STATE_DICTS)) and framework_of(name) is not None:
        check_network_path("pretrained_path", name)
        return
    if not name.endswith(_ENDINGS):
        raise InputError(
            f"`pretrained_path` must end in {', '.join(_ENDINGS)}. Received: {name!r}. Networks of "
            "other frameworks are taken too (.onnx, .tflite, .pb)."
        )
    if not Path(path).is_file():
        raise InputError(f"`pretrained_path`: there is no file {str(path)!r}.")


def load_pretrained(
    model: keras.Model, path: str | Path, translate: Translate = dict, allow_unsafe: bool = False
) -> None:
    """Set all weights of a network from a file.

    Args:
        model: the network; unchanged if the file is refused.
        path: a `.keras`, `.fpq`, `.h5`, `.weights.h5` or `.npz` file; `.h5` of Keras 2 as well, a
            whole network or its weights; a network of another framework, whose weights fit in
            their order.
        translate: turns the arrays of a `.npz` into arrays by variable path
            (`AbstractModelHelper.npz_to_weights`).
        allow_unsafe: also read a file that contains Python code.

    Raises:
        InputError: if the file cannot be read or its weights don't fit; names the first weight
            that does not, and both shapes.
    """
    check_pretrained_path(path)
    name = str(path)
    if name.endswith(".npz"):
        _assign(model, _translated(load_npz(name), translate, name), name)
        return
    if not name.endswith(_ENDINGS):
        from utils.frontends.loading import load_network

        _assign(model, _aligned(load_network(name)[0], model), name)
        return
    from utils import own_objects
    from utils.hdf5 import is_hdf5

    own_objects.remember_model(model)  # the file may be made of the same classes
    if name.endswith(PACKED_ENDING):
        _assign(model, _aligned(load_keras_model(name, allow_unsafe), model), name)
        return
    read = _load_hdf5 if is_hdf5(name) or not name.endswith(".keras") else _load_archive
    read(model, name, allow_unsafe)


def _assign(model: keras.Model, arrays: Mapping[str, np.ndarray], path: str) -> None:
    """Set the weights from arrays by variable path, if all fit."""
    _compare({v.path: tuple(v.shape) for v in model.weights}, _shapes(arrays), path)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    for layer in model._flatten_layers():
        if layer.weights and hasattr(layer, "finalize_state"):  # Normalization
            layer.finalize_state()


def _load_archive(model: keras.Model, path: str, allow_unsafe: bool) -> None:
    """Take the weights of a network; where it cannot be built here, those in its file."""
    check_keras_archive(path)
    try:
        source = load_keras_model(path, allow_unsafe)
    except InputError as error:  # unknown classes, code: the network is known without them
        with zipfile.ZipFile(path) as archive, passing_folder() as folder:
            if WEIGHTS_ENTRY not in archive.namelist():
                raise
            try:
                _load_h5(model, archive.extract(WEIGHTS_ENTRY, folder))
            except InputError:
                raise error from None
        notes.print(f"note: {error} Its weights fit and are taken.", markup=False)
    else:
        _assign(model, _aligned(source, model), path)


def _load_hdf5(model: keras.Model, path: str, allow_unsafe: bool) -> None:
    """Take weights in the layout of Keras 2 or of today, or those of a whole network."""
    from utils import legacy_keras

    if not legacy_keras.is_legacy_weights(path):
        _load_h5(model, path)
        return
    if not legacy_keras.holds_network(path):
        legacy_keras.load_weights(model, path)
        return
    legacy_keras.check_network(model, path)
    try:
        source = load_keras_model(path, allow_unsafe)
    except InputError as error:  # as above
        try:
            legacy_keras.load_weights(model, path)
        except InputError:
            raise error from None
        notes.print(f"note: {error} Its weights fit and are taken.", markup=False)
    else:
        _assign(model, _aligned(source, model), path)


def _refuse_nan(path: str, name: str, values: np.ndarray) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{path}: {name!r} holds NaN or infinite values. Train it anew.")


def _translated(
    arrays: dict[str, np.ndarray], translate: Translate, path: str
) -> dict[str, np.ndarray]:
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: array {name!r} must hold numbers. Received: dtype {array.dtype}."
            )
        _refuse_nan(path, f"array {name}", array)
    try:
        return dict(translate(arrays))
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(
            f"{path}: its arrays are not named like this network's weights: {error}. First name: "
            f"{next(iter(arrays), 'none')!r}. Name them by layer and weight, as in 'conv1/kernel'."
        ) from error


def _aligned(source: keras.Model, model: keras.Model) -> dict[str, np.ndarray]:
    """Give the weights of `source` by the paths they have in `model`.

    Names that Keras made up (conv2d_3) differ between two copies of one network; then the order
    decides.
    """
    arrays = {variable.path: np.asarray(variable) for variable in source.weights}
    paths = [variable.path for variable in model.weights]
    if set(arrays) == set(paths) or len(arrays) != len(paths):
        return arrays
    return dict(zip(paths, arrays.values(), strict=True))


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _compare(
    network: Mapping[str, tuple[int, ...]],
    file: Mapping[str, tuple[int, ...]],
    path: str,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Refuse a file at the first weight, in the network's order, that is not the network's.

    Args:
        network: shape of each weight of the network, by key.
        file: shape of each array of the file, by key.
        path: for the message.
        labels: what the message calls a key; None for the key itself.
    """
    for key in [*network, *(key for key in file if key not in network)]:
        if file.get(key) != network.get(key):
            name = key if labels is None else labels[key]
            raise InputError(_mismatch(path, name, file.get(key), network.get(key)))


def _mismatch(
    path: str, name: str, in_file: tuple[int, ...] | None, in_network: tuple[int, ...] | None
) -> str:
    found, wanted = (
        "no such weight" if shape is None else f"shape {shape}" for shape in (in_file, in_network)
    )
    return (
        f"{path} holds weights of another network; the first that does not fit is {name!r}: "
        f"the file has {found}, the network has {wanted}. Check the flags that shape the network, "
        "or give the file made from it."
    )


def _load_h5(model: keras.Model, path: str) -> None:
    """Load Keras' weights file after comparing its shapes with one written from the network."""
    import h5py

    with passing_folder() as folder:
        own = str(Path(folder) / "own.weights.h5")
        model.save_weights(own)
        expected, names = _h5_contents(own)
    found, names_in_file = _h5_contents(path)
    order = {layer.name: number for number, layer in enumerate(model._flatten_layers())}
    places = sorted(expected, key=lambda place: order.get(names[place], len(order)))
    labels = {
        place: f"{name}/{place.rpartition('/')[2]}"
        for place, name in (names_in_file | names).items()
    }
    _compare({place: expected[place] for place in places}, found, path, labels)
    with h5py.File(path, "r") as file:
        for place in places:
            _refuse_nan(path, labels[place], file[place][()])
    with passing_folder() as folder:
        named = str(Path(folder) / "own.weights.h5")  # Keras goes by the ending
        os.symlink(Path(path).resolve(), named)
        try:
            with warnings.catch_warnings():
                # Of groups that older files lack; that no weight does was looked at above.
                warnings.simplefilter("ignore")
                model.load_weights(named)
        except Exception as error:  # whatever Keras and h5py make of flipped bits
            reason = first_words(error)
            raise InputError(f"{path}: Keras cannot load it: {reason}") from error


def _h5_contents(path: str) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Give shape and layer name of each array by its place in the file."""
    import h5py

    shapes: dict[str, tuple[int, ...]] = {}
    names: dict[str, str] = {}

    def visit(place: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not place.startswith(_NOT_THE_NETWORK):
            check_dataset(Path(path), place, item)
            shapes[place] = item.shape
            names[place] = str(item.parent.attrs.get("name", item.parent.name))

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except InputError:
        raise
    except Exception as error:  # whatever h5py makes of flipped bits
        reason = first_words(error)
        raise InputError(f"{path}: not a readable HDF5 file: {reason}. Save it again.") from error
    return shapes, names
