"""Loading of `.keras` files by Keras, held on a leash.

Keras builds whatever a description says: a layer of 10^9 numbers takes its memory before anything
compares it with the file's weights, and what goes wrong is told in paragraphs that advise to switch
off what protects the user. Here no more memory is taken than the stored weights justify, and what
Keras says is one line.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import keras
import numpy as np

from utils import own_objects
from utils.archives import CONFIG_ENTRY, WEIGHTS_ENTRY
from utils.errors import InputError
from utils.folders import passing_folder
from utils.json_reader import parse_json

_Path = str | os.PathLike[str]
_LAMBDA_OUTPUT = "of the Lambda's output"  # in what Keras says where one fails
_LAMBDA_LACKS = (
    "its Lambda layer does not run: a file lacks what the function uses from outside, such as "
    "`tf`. Import that inside the function, or replace the layer by keras.ops calls."
)
_LAMBDA = (
    "it contains Python code (a Lambda layer), which would run on this computer. If you trust its "
    "source, load it with --allow_unsafe; better, replace the layer by keras.ops calls."
)
_SAVE_ANEW = "Save the model anew with the installed Keras version."
_LAMBDA_MODULES = ("keras.layers", "keras.src.layers.core.lambda_layer", "builtins", None)
_NESTED = "Skipping nested container at "
# Numbers that a network may have beside its stored weights: seeds, counters.
_SPARE = 1 << 16
_LARGEST_MAP = 1 << 28  # numbers of one feature map, for one sample: 1 GiB


def load(path: _Path, allow_unsafe: bool) -> keras.Model:
    """Load a `.keras` file of Keras 3 that `check_keras_archive` has admitted, uncompiled.

    Args:
        path: the file.
        allow_unsafe: also load Python code (Lambda layers); it runs.

    Returns:
        The model.

    Raises:
        InputError: if Keras cannot rebuild it, its description does not go with its weights, or
            these are NaN.
    """
    try:
        stored = _stored_numbers(path)
        with (
            warnings.catch_warnings(record=True) as said,
            own_objects.scope(),
            _known_lambdas(path, allow_unsafe) as (source, lambdas),
            variables_within(stored + _SPARE),
        ):
            warnings.simplefilter("always")
            model = keras.saving.load_model(
                source, custom_objects=lambdas, compile=False, safe_mode=not allow_unsafe
            )
    except Exception as error:  # whatever a foreign configuration makes a constructor raise
        raise InputError(f"{path}: Keras cannot load it: {_cause(error, path)}") from error
    needed = sum(math.prod(variable.shape) for variable in model.weights)
    if needed > stored:  # Keras draws what is missing anew and only warns
        raise InputError(
            f"{path}: it holds {stored:,} numbers, its network has {needed:,}: weights"
            f"{_place_of(said)} are missing. {_SAVE_ANEW}"
        )
    gave_up = isinstance(model, keras.Sequential) and model._functional is None
    if gave_up and any(isinstance(layer, keras.layers.Lambda) for layer in model.layers):
        raise InputError(f"{path}: Keras cannot load it: {_LAMBDA_LACKS}")
    _check_sizes(path, model)
    return model


def _place_of(said: Sequence[warnings.WarningMessage]) -> str:
    """Say inside which layer weights are missing, where Keras does."""
    texts = [str(each.message) for each in said]
    lost = next((text for text in texts if text.startswith(_NESTED)), None)
    return "" if lost is None else f" in {lost.removeprefix(_NESTED).partition(': ')[0]}"


@contextlib.contextmanager
def variables_within(most: int) -> Iterator[None]:
    """Refuse variables of more than `most` numbers together, before memory is taken for them.

    Applies to the whole process; what is built beside it counts too.

    Raises:
        InputError: where the variable is made that is too much.
    """
    left = most
    make = keras.Variable.__init__

    def counted(self: Any, initializer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> None:
        nonlocal left
        if shape is not None and all(isinstance(size, int) for size in shape):
            left -= math.prod(shape)
            if left < 0:
                raise InputError(
                    f"it describes a weight of shape {tuple(shape)}, and more numbers than the "
                    f"{max(most - _SPARE, 0):,} that the file holds. It is incomplete or was "
                    "changed; copy or save it anew."
                )
        make(self, initializer, shape, *args, **kwargs)

    keras.Variable.__init__ = counted
    try:
        yield
    finally:
        keras.Variable.__init__ = make


def _stored_numbers(path: _Path) -> int:
    """Count the numbers that a checked archive stores."""
    count = 0

    def add(name: str, item: Any) -> None:
        nonlocal count
        if isinstance(item, h5py.Dataset):
            count += item.size

    with zipfile.ZipFile(path) as archive:
        if WEIGHTS_ENTRY not in archive.namelist():
            return sum(entry.file_size for entry in archive.infolist())
        with archive.open(WEIGHTS_ENTRY) as stream, h5py.File(stream, "r") as weights:
            weights.visititems(add)
    return count


def _check_sizes(path: _Path, model: keras.Model) -> None:
    """Refuse weights that are NaN, and feature maps that no memory holds."""
    for variable in model.weights:
        values = np.asarray(variable)
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise InputError(f"{path}: its weight {variable.path!r} holds NaN. Train it anew.")
    for operation in getattr(model, "operations", ()):
        for node in getattr(operation, "_inbound_nodes", ()):
            for tensor in node.output_tensors:
                size = math.prod(length or 1 for length in tensor.shape[1:])
                if size > _LARGEST_MAP:
                    raise InputError(
                        f"{path}: {operation.name!r} gives {size:,} numbers for one sample, more "
                        f"than {_LARGEST_MAP:,}. Give a smaller network."
                    )


@contextlib.contextmanager
def _known_lambdas(path: _Path, allow_unsafe: bool) -> Iterator[tuple[_Path, dict[str, Any]]]:
    """Give a file whose lambdas of this process are named, and the lambdas by these names.

    A file holds a lambda's code, but nothing of what it uses from outside (`tf`, `np`): one that is
    at hand is taken instead.
    """
    config = _config(path) if allow_unsafe else None
    named, lambdas = own_objects.known_lambdas(config) if config else (None, {})
    if not lambdas:
        yield path, {}
        return
    with (
        zipfile.ZipFile(path) as archive,
        passing_folder() as folder,
    ):
        copy = pathlib.Path(folder) / "model.keras"
        with zipfile.ZipFile(copy, "w") as written:
            for entry in archive.infolist():
                if entry.filename == CONFIG_ENTRY:
                    written.writestr(CONFIG_ENTRY, json.dumps(named))
                    continue
                with archive.open(entry) as stream, written.open(entry, "w") as target:
                    shutil.copyfileobj(stream, target)
        yield copy, lambdas


def _config(path: _Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return parse_json(archive.read(CONFIG_ENTRY), constants=True)


def _cause(error: Exception, path: _Path) -> str:
    """Say in one line what Keras means, and the next step; never to switch off what protects."""
    if isinstance(error, InputError):
        return str(error)
    text = _innermost(str(error)) or type(error).__name__
    if "unsafe" in text or "safe_mode" in text:
        if "lambda" in text and _has_lambda(_config(path)):
            return _LAMBDA
        what = re.search(r"of a `(\w+)`|loading of (a [\w ]+?) outside", text)
        named = "what runs code or reads files" if what is None else what[1] or what[2]
        return f"it asks for {named}, which no file of a network may. Replace that in the network."
    if _LAMBDA_OUTPUT in text:  # Keras hides what its function raised
        return _LAMBDA_LACKS
    unknown = re.search(r"Could not locate (?:class|function) '?([\w>.]+)", text)
    if unknown:
        return (
            f"the class {unknown[1]!r} is unknown. Register it with "
            "@keras.saving.register_keras_serializable() in the file given by --model_helper."
        )
    return f"{text.splitlines()[0][:300]} {_SAVE_ANEW}"


def _innermost(text: str) -> str:
    """Take off what Keras wraps around the reason: "could not be deserialized properly" and so on.

    Example:
        >>> _innermost("<class X> could not be … config={}. Exception encountered: No unit.")
        'No unit.'
    """
    reason = text.rpartition("Exception encountered: ")[2]
    return re.sub(r"\x1b\[\d*m", "", reason).strip()


def _has_lambda(config: Any) -> bool:
    """Whether a description holds a Lambda layer of Keras' own with Python code."""
    ahead = [config]
    while ahead:
        value = ahead.pop()
        if isinstance(value, Mapping):
            kind, module = value.get("class_name"), value.get("module")
            if kind == "Lambda" and module in _LAMBDA_MODULES:
                return True
            ahead += value.values()
        elif isinstance(value, list):
            ahead += value
    return False
