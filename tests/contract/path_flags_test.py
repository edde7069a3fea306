"""Flags of the tools that name files: all take `~` for home and refuse an empty path."""

import dataclasses
import importlib
import inspect
import pathlib

import pytest

import tools
from utils import flags

_NAMES = ("_file", "_dir", "_npy", "_json", "_path")
_OTHERS = ("graph", "params", "zoo", "weights")
_ROOT = pathlib.Path(tools.__file__).parent


def configs():
    """List the config classes of all tools."""
    for path in sorted(_ROOT.rglob("*.py")):
        name = ".".join(("tools", *path.relative_to(_ROOT).with_suffix("").parts))
        if path.stem.startswith("__") or "docs" in path.parts:
            continue
        for _, found in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if found.__module__ == name and has_flags(found):
                yield found


def has_flags(found):
    """Whether a class is a config."""
    return dataclasses.is_dataclass(found) and any(
        field.metadata for field in dataclasses.fields(found)
    )


@pytest.mark.parametrize("config", configs(), ids=lambda config: config.__name__)
def test_what_names_files_is_a_path(config):
    named = [
        spec
        for spec in flags.describe(config)
        if spec.type is str and (spec.name.endswith(_NAMES) or spec.name in _OTHERS)
    ]
    assert [spec.name for spec in named if not spec.info.path] == []
