"""ModelHelpers: networks with their data; loaded by name or from a user's own file."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType

from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError
from utils.flags import nearest
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
    path = Path(name_or_path).expanduser()
    if path.suffix != ".py":
        raise InputError(
            f"Unknown model helper {name_or_path!r}. {nearest(name_or_path, HELPERS)} Or give the "
            "path of your own .py file."
        )
    return _helper_class_in(load_user_file(path, "Model helper"), path)


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
