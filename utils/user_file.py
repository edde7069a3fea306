"""Run a Python file of the user's as a module."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from utils.causes import explanation
from utils.errors import InputError
from utils.export.quiet import quiet_native


def load_user_file(path: Path, what: str) -> ModuleType:
    """Run a file as a module; its own folder is importable while and after it runs.

    Args:
        path: the file.
        what: what it is, the beginning of messages: "Model helper".

    Returns:
        The module.

    Raises:
        InputError: if the file is missing, or whatever it raises.
    """
    if not path.is_file():
        raise InputError(f"{what} {str(path)!r}: there is no such file.")
    full = path.resolve()
    # The path's hash keeps two files of one name apart; the stem stays last, helpers' default
    # names come from it.
    name = f"user_helper_{hashlib.sha256(str(full).encode()).hexdigest()[:12]}.{full.stem}"
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise InputError(f"{what} {path}: Python cannot load this file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(full.parent) not in sys.path:
        sys.path.append(str(full.parent))
    _import_quietly(full)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        del sys.modules[name]
        raise InputError(f"{what} {full}: {explanation(error)}") from error
    return module


def _import_quietly(path: Path) -> None:
    """Import TensorFlow, which greets on the terminal, where the file is going to."""
    text = path.read_text(encoding="utf-8", errors="ignore")
    if "tensorflow" in text or "keras" in text:
        with quiet_native():
            importlib.import_module("tensorflow")
