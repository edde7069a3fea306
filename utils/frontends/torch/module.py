"""A PyTorch module from the user's file, with the weights of a state dict.

The file is the user's own code and runs; a state dict is data and is never unpickled as anything
else. PyTorch works in a process of its own, see `utils.frontends.torch.process`.
"""

from __future__ import annotations

import pathlib
import warnings
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.archives import open_archive
from utils.causes import essence, explanation
from utils.errors import InputError
from utils.user_file import load_user_file

if TYPE_CHECKING:
    import torch

_OUTER_KEYS = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.")
_NUM_SHOWN = 5


def load_module(path: str, weights: str | None = None) -> torch.nn.Module:
    """Make a module of the user's, with weights, ready for inference.

    Args:
        path: `file.py:name`, see `utils.frontends.torch.reader.convert`.
        weights: a state dict; None keeps what the module has.

    Raises:
        InputError: if there is no such module or the weights do not fit.
    """
    file, name = file_and_name(path)
    module = _made(load_user_file(pathlib.Path(file), "PyTorch network"), file, name)
    if weights is not None:
        load_weights(module, pathlib.Path(weights))
    return module.eval()


def file_and_name(path: str) -> tuple[str, str]:
    """Take `file.py:name` apart.

    Raises:
        InputError: if it is something else.
    """
    file, _, name = path.rpartition(":")
    if not file.endswith(".py"):
        raise InputError(
            f"PyTorch networks are given by the Python file that makes them: `net.py:make_net`. "
            f"Received: {path!r}. Files of weights (.pt, .pth, .th) belong to --weights."
        )
    return file, name


def _made(user: Any, file: str, name: str) -> torch.nn.Module:
    import torch

    if not hasattr(user, name):
        names = [
            key
            for key, value in vars(user).items()
            if not key.startswith("_") and getattr(value, "__module__", "") == user.__name__
        ]
        raise InputError(f"{file} has no {name!r}; it has: {', '.join(names) or 'nothing'}.")
    made = getattr(user, name)
    if not isinstance(made, torch.nn.Module):
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # without a state dict, the same weights every time
                made = made()
        except Exception as error:  # the user's code
            raise InputError(f"{file}: {name}() failed: {explanation(error)}") from error
    if not isinstance(made, torch.nn.Module):
        raise InputError(
            f"{file}: {name} must be a torch.nn.Module, its class, or a function that returns one. "
            f"Received: {type(made).__name__}."
        )
    return made


def load_weights(module: torch.nn.Module, path: pathlib.Path) -> None:
    """Load a state dict into a module.

    Raises:
        InputError: if the file is refused or does not fit.
    """
    found = read_state_dict(path)
    own = module.state_dict()
    missing = [key for key in own if key not in found and not key.endswith("num_batches_tracked")]
    foreign = [key for key in found if key not in own]
    differing = [
        f"{key} {tuple(found[key].shape)} for {tuple(own[key].shape)}"
        for key in own
        if key in found and found[key].shape != own[key].shape
    ]
    for what, names in (
        ("lacks", missing),
        ("has weights that the module has not", foreign),
        ("has other shapes", differing),
    ):
        if names:
            shown = ", ".join(names[:_NUM_SHOWN]) + (", …" if len(names) > _NUM_SHOWN else "")
            raise InputError(f"{path}: the state dict does not fit the module, it {what}: {shown}.")
    module.load_state_dict(found, strict=False)


def read_state_dict(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """Read a state dict; no code of the file's runs.

    Args:
        path: the file; a dict around the state dict and a prefix `module.` are taken off.

    Returns:
        Tensors by name.

    Raises:
        InputError: if the file is missing, damaged, or holds a pickled module.
    """
    import torch

    if not path.is_file():
        raise InputError(f"{path}: no such file. Expected a state dict (.pt, .pth, .th).")
    try:
        is_zip = zipfile.is_zipfile(path)
    except zipfile.BadZipFile as error:  # its end says that it lies on several disks
        raise InputError(f"{path}: is damaged ({error}). Copy or create it anew.") from error
    if is_zip:
        _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file makes torch raise
        text = str(error)
        if "weights_only" in text or "Unsupported" in text or "GLOBAL" in text:
            raise InputError(
                f"{path}: holds Python objects, perhaps a whole pickled module, which may run any "
                "code: refused. Load it where you trust it and save its weights alone: "
                "torch.save(net.state_dict(), 'net.pth')."
            ) from error
        reason = essence(error).rstrip(".")
        raise InputError(
            f"{path}: is damaged or no state dict ({reason}). Copy or create it anew."
        ) from error
    return _unwrapped(loaded, path)


def _check_archive(path: pathlib.Path) -> None:
    """Refuse an archive that unpacks to too much, or holds a compiled module."""
    with open_archive(path, "state dict") as archive:
        if any("/code/" in name for name in archive.namelist()):
            raise InputError(
                f"{path}: is a TorchScript module, which holds code. Save the weights of the "
                "module it was made from: torch.save(net.state_dict(), 'net.pth')."
            )


def _unwrapped(loaded: Any, path: pathlib.Path) -> dict[str, torch.Tensor]:
    import torch

    for key in _OUTER_KEYS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        raise InputError(f"{path}: holds no state dict, but a {type(loaded).__name__}.")
    strange = [key for key, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise InputError(f"{path}: {strange[0]!r} of its state dict is no tensor.")
    found = {str(key): value for key, value in loaded.items()}
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found
