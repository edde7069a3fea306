"""ModelHelpers: networks with their data; loaded by name or from a user's own file."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Container
from pathlib import Path
from types import ModuleType

from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError
from utils.flags import nearest
from utils.schema import brief
from utils.user_file import load_user_file

HELPERS = {
    "convnet_at_digits": "nets.convnet_at_digits:ModelHelper",
    "convnet_at_fmnist": "nets.convnet_at_fmnist:ModelHelper",
    "dscnn_at_fsdd": "nets.dscnn_at_fsdd:ModelHelper",
    "gru_at_fsdd": "nets.gru_at_fsdd:ModelHelper",
    "imported": "nets.imported:ModelHelper",
    "lenet5_at_mnist": "nets.lenet5_at_mnist:ModelHelper",
    "lenet300_at_mnist": "nets.lenet300_at_mnist:ModelHelper",
    "lenet_at_cifar10": "nets.lenet_at_cifar10:ModelHelper",
    "mobilenet_at_cifar10": "nets.mobilenet_at_cifar10:ModelHelper",
    "resnet_at_cifar10": "nets.resnet_at_cifar10:ModelHelper",
    "vgg_at_cifar10": "nets.vgg_at_cifar10:ModelHelper",
}


def load_helper_class(name_or_path: str) -> type[AbstractModelHelper]:
    """Find a ModelHelper by its name or in a file.

    Args:
        name_or_path: a key of `HELPERS`, or the path of a `.py` file with a class `ModelHelper`
            (or just one subclass of `AbstractModelHelper`).

    Returns:
        The class. TensorFlow is not imported by the built-in ones.

    Raises:
        InputError: for an unknown name, or a file without such a class or that fails to load.
    """
    if name_or_path in HELPERS:
        module_name, _, class_name = HELPERS[name_or_path].partition(":")
        return getattr(importlib.import_module(module_name), class_name)
    path = helper_path(name_or_path)
    return _helper_class_in(load_user_file(path, "Model helper"), path)


def helper_path(name: str) -> Path:
    """Give the file of a helper that is no built-in one.

    Raises:
        InputError: if there is no such file.
    """
    path = Path(name).expanduser()
    if path.suffix != ".py":
        raise InputError(
            f"Unknown model helper {brief(name)}. {nearest(name, HELPERS)} Or give the path of "
            "your own .py file."
        )
    if not path.is_file():
        raise InputError(f"Model helper {brief(name)}: there is no such file.")
    return path


def may_declare(path: Path, built_in: Container[str]) -> Callable[[str], bool]:
    """Tell of a flag whether a helper's file may declare it, without running the file.

    Args:
        path: the file.
        built_in: flags of built-in helpers, which the file's class may be derived from.

    Returns:
        Flag name -> whether it may. Where the file takes its flags from another module it may be
        any.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    own = re.search(r"\bconfig_class\b\s*(?::[^=\n]*)?=\s*(\w+)", text)
    elsewhere = own is not None and not re.search(rf"\bclass {own[1]}\b", text)

    derived = re.search(r"\bnets\.(?!abstract_model_helper\b)", text) is not None

    def may(name: str) -> bool:
        parts = name.removeprefix("no").split("_") if name not in built_in else []
        words = ["_".join(parts[start:]) for start in range(len(parts))] + [name]
        named = any(re.search(rf"\b{re.escape(word)}\b", text) for word in words if word)
        return elsewhere or (own is not None and named) or (name in built_in and derived)

    return may


def _helper_class_in(module: ModuleType, path: Path) -> type[AbstractModelHelper]:
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, AbstractModelHelper)
        and value.__module__ == module.__name__
    ]
    named = [value for value in found if value.__name__ == "ModelHelper"]
    if len(named or found) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        raise InputError(
            f"Model helper {path}: expected a class ModelHelper, or just one subclass of "
            f"AbstractModelHelper (from nets.abstract_model_helper). Found: {names}."
        )
    helper = (named or found)[0]
    if inspect.isabstract(helper):
        missing = ", ".join(sorted(helper.__abstractmethods__))
        raise InputError(f"Model helper {path}: {helper.__name__} lacks {missing}.")
    return helper
