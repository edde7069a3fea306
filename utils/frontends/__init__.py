"""Networks of other frameworks, read from their files and built anew of Keras layers."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from utils.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frontend:
    """One framework.

    Attributes:
        reads: `module:function`, called with a path and options, returns a `Converted`.
        suffixes: endings of its files.
        extra: extra of `pyproject.toml` that it needs; empty if none.
        packages: modules of that extra, looked for before anything is read.
        what: what its files are, for messages.
    """

    reads: str
    suffixes: tuple[str, ...]
    extra: str = ""
    packages: tuple[str, ...] = ()
    what: str

    def load(self) -> Callable[..., Any]:
        """Import the reader.

        Raises:
            InputError: names the extra to install if a package is missing.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise InputError(
                f"reading {self.what} needs the package {missing[0]}, which is not installed. "
                f"Install the extra `{self.extra}`: pip install '.[{self.extra}]'."
            )
        module, _, name = self.reads.partition(":")
        return getattr(importlib.import_module(module), name)


FRONTENDS: Mapping[str, Frontend] = {
    "keras": Frontend(
        reads="utils.frontends.keras.reader:convert",
        suffixes=(".keras", ".h5", ".hdf5"),
        what="Keras files",
    ),
    "tensorflow": Frontend(
        reads="utils.frontends.tensorflow.reader:convert",
        suffixes=(".pb",),
        what="TensorFlow SavedModels and frozen graphs",
    ),
    "tflite": Frontend(
        reads="utils.frontends.tflite.reader:convert",
        suffixes=(".tflite",),
        what="TensorFlow Lite files",
    ),
    "onnx": Frontend(
        reads="utils.frontends.onnx.reader:convert",
        suffixes=(".onnx",),
        extra="onnx",
        packages=("onnx",),
        what="ONNX files",
    ),
    "torch": Frontend(
        reads="utils.frontends.torch.reader:convert",
        suffixes=(".pt", ".pth", ".th"),
        extra="torch",
        packages=("torch", "onnx", "onnxscript"),
        what="PyTorch networks",
    ),
    "mxnet": Frontend(
        reads="utils.frontends.mxnet.reader:convert",
        suffixes=("-symbol.json", ".params"),
        what="MXNet files",
    ),
}
ALIASES: Mapping[str, str] = {"pytorch": "torch", "tf": "tensorflow"}
"""Other names of the frameworks."""


def find_frontend(framework: str) -> Frontend:
    """Look a framework up.

    Raises:
        InputError: if there is none of that name.
    """
    name = ALIASES.get(framework, framework)
    if name not in FRONTENDS:
        raise InputError(
            f"unknown framework {framework!r}. Give one of: {', '.join(sorted(FRONTENDS))}."
        )
    return FRONTENDS[name]


def framework_of(path: str) -> str | None:
    """Which framework's a network is, by its name; None if no front end reads such files.

    A folder with a `saved_model.pb` is TensorFlow's, `file.py:name` a PyTorch module.

    Example:
        >>> framework_of("net.onnx"), framework_of("nets.py:make_net"), framework_of("net.txt")
        ('onnx', 'torch', None)
    """
    if re.search(r"\.py:\w+$", path):
        return "torch"
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        return "tensorflow"
    for name, frontend in FRONTENDS.items():
        if path.lower().endswith(frontend.suffixes):
            return name
    return None


def check_network_path(flag: str, path: str) -> str:
    """Refuse what no front end reads, before any framework is imported.

    Args:
        flag: its name, for messages.
        path: its value.

    Returns:
        The framework.

    Raises:
        InputError: if the ending is unknown or there is no such file.
    """
    framework = framework_of(path)
    if framework is None:
        endings = [ending for frontend in FRONTENDS.values() for ending in frontend.suffixes]
        raise InputError(
            f"`{flag}` must end in {', '.join(endings)}, be the folder of a SavedModel, or name a "
            f"PyTorch module as net.py:make_net. Received: {path!r}."
        )
    file = path.rpartition(":")[0] if framework == "torch" and ".py:" in path else path
    if not os.path.exists(file):
        raise InputError(f"`{flag}`: there is no file {file!r}. Give a trained network.")
    return framework
