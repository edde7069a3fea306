"""The prune dict: which ratio of the weights of each layer is removed.

    conv1: 0                # left whole
    block*/conv_2: 0.9      # a pattern: * any text, ? one character, [ab] one of these
    "*": 0.75               # all others; a name that begins with * needs quotes

A file is YAML or JSON, whichever its content is. An entry that is a layer's own name counts before
any pattern; of several patterns that match, the first in the file counts. Layers that no entry
matches are left whole. TensorFlow is not needed to read it.
"""

import contextlib
import dataclasses
import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from utils.document import load
from utils.errors import InputError
from utils.files import atomic_path
from utils.flags import nearest

_EXAMPLE = "Write a line for each layer: its name or a pattern, a colon, a ratio."


@dataclasses.dataclass(frozen=True, kw_only=True)
class PruneDict:
    """Ratios by layer name or pattern.

    Attributes:
        entries: name or pattern -> fraction of the weights that is removed, in [0, 1), in the
            order of the file.
        source: what names it, for messages.
    """

    entries: Mapping[str, float]
    source: str


def read_prune_dict(path: str | os.PathLike[str], flag: str) -> PruneDict:
    """Read a prune dict.

    Args:
        path: a YAML or JSON file, of at most 1 MiB.
        flag: that names it, for messages.

    Returns:
        The dict.

    Raises:
        InputError: if the file cannot be read, has a name twice, or is no such dict.
    """
    source = f"`{flag}`: {os.fspath(path)}"
    return as_prune_dict(load(path, source), source)


def as_prune_dict(value: Any, source: str = "`prune_dict`") -> PruneDict:
    """Check that a value is a prune dict.

    Args:
        value: a mapping of names or patterns to ratios.
        source: what names it, for messages.

    Returns:
        The dict.

    Raises:
        InputError: if it is none, is empty, or has a ratio outside [0, 1).

    Example:
        >>> as_prune_dict({"conv*": 0.75, "fc": 0}).entries
        {'conv*': 0.75, 'fc': 0.0}
    """
    if not isinstance(value, Mapping) or not value:
        received = "nothing" if not value else f"{type(value).__name__}"
        raise InputError(
            f"{source} must be layers with their ratios. Received: {received}. {_EXAMPLE}"
        )
    return PruneDict(
        entries={_name(name, source): _ratio(value[name], name, source) for name in value},
        source=source,
    )


def _name(name: Any, source: str) -> str:
    if isinstance(name, str) and name:
        return name
    raise InputError(
        f"{source}: a layer's name must be a text. Received: {name!r}. Put it in quotes."
    )


def _ratio(value: Any, name: str, source: str) -> float:
    if isinstance(value, str):  # YAML reads 1e-1, which has no point, as a text
        with contextlib.suppress(ValueError):
            value = float(value)
    number = not isinstance(value, bool) and isinstance(value, (int, float))
    if not number or not 0.0 <= value < 1.0:
        raise InputError(
            f"{source}: the ratio of {name!r} must be the fraction of its weights that is removed, "
            f"in [0, 1). Received: {value!r}."
        )
    return float(value)


def ratios_by_layer(prune_dict: PruneDict, layers: Iterable[str]) -> dict[str, float]:
    """Say which ratio each layer gets.

    Args:
        prune_dict: names and patterns.
        layers: names of the layers whose weights can be removed.

    Returns:
        Layer -> ratio in [0, 1), in the order of `layers`, without those that no entry matches.

    Raises:
        InputError: for an entry that is no layer's name and matches none; gives the nearest.

    Example:
        >>> given = as_prune_dict({"*": 0.75, "b*": 0.9, "conv1": 0.0})
        >>> ratios_by_layer(given, ["conv1", "block", "fc"])
        {'conv1': 0.0, 'block': 0.75, 'fc': 0.75}
    """
    names = list(layers)
    for entry in prune_dict.entries:
        if not any(_matches(entry, name) for name in names):
            raise InputError(
                f"{prune_dict.source}: no layer whose weights can be removed is named {entry!r}, "
                f"nor does it match one as a pattern. {nearest(entry, names)}"
            )
    found = {name: _first(prune_dict.entries, name) for name in names}
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def matching(patterns: Sequence[str], name: str) -> bool:
    """Whether a layer is meant by one of several names or patterns.

    Example:
        >>> matching(["fc", "conv_?"], "conv_2"), matching(["conv"], "conv_2")
        (True, False)
    """
    return any(_matches(pattern, name) for pattern in patterns)


def _matches(entry: str, name: str) -> bool:
    return entry == name or fnmatch.fnmatchcase(name, entry)


def _first(entries: Mapping[str, float], name: str) -> float | None:
    """Give a layer's ratio: that of its own name, else that of the first pattern."""
    if name in entries:
        return entries[name]
    matches = (ratio for entry, ratio in entries.items() if fnmatch.fnmatchcase(name, entry))
    return next(matches, None)


def prune_dict_text(ratios: Mapping[str, float], comments: Mapping[str, str] | None = None) -> str:
    """Write a prune dict as YAML.

    Args:
        ratios: layer -> ratio, see `PruneDict.entries`.
        comments: what is said of a layer behind its ratio.

    Returns:
        The text of a file that `read_prune_dict` reads back.

    Example:
        >>> print(prune_dict_text({"conv": 0.75, "on": 0.0}, {"conv": "144 weights"}), end="")
        conv: 0.75  # 144 weights
        'on': 0.0
    """
    lines = []
    for name, ratio in ratios.items():
        line = yaml.safe_dump({name: float(ratio)}, width=2**16).rstrip("\n")
        said = (comments or {}).get(name)
        lines.append(line if said is None else f"{line}  # {said}")
    return "".join(f"{line}\n" for line in lines)


def write_prune_dict(
    path: str | os.PathLike[str],
    ratios: Mapping[str, float],
    comments: Mapping[str, str] | None = None,
) -> None:
    """Write a prune dict as a file, see `prune_dict_text`; it appears whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(prune_dict_text(ratios, comments), encoding="utf-8")
