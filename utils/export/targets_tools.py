"""Whether what runs or compiles files for a target is installed."""

import importlib.util

from utils.errors import InputError
from utils.export.ethos_u import require_vela
from utils.export.targets import find_target


def require_tools(target: str) -> None:
    """Refuse a target whose package is missing.

    Raises:
        InputError: names the package and the extra that installs it.
    """
    runs = find_target(target).runs
    if runs == "vela":
        require_vela()
    if runs == "tflm" and importlib.util.find_spec("tflite_micro") is None:
        raise InputError(
            f"the target {target} needs the package tflite-micro, which is not installed. Install "
            "the extra `tflm`: pip install '.[tflm]'."
        )
