"""Packages that a target needs; found out before TensorFlow takes its seconds to start."""

from __future__ import annotations

import importlib.util

from utils.errors import InputError

EXTRA = "torch"


def require_torch() -> None:
    """Refuse where PyTorch is missing.

    Raises:
        InputError: naming the extra.
    """
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            "a network for PyTorch needs the package torch, which is not installed. Install the "
            f"extra `{EXTRA}`: pip install '.[{EXTRA}]'."
        )
