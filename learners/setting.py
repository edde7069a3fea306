"""Settings: the choice for each layer as a file, which a search writes and `--setting` reads.

A JSON object, version 2:

| entry | meaning |
|:--|:--|
| `schema_version` | 2 |
| `quantity` | what is chosen for each layer: `channels` or weights (`sparsity`) kept, or `bits` |
| `network` | layer name -> its size: channels of a group, else weights; tells networks apart |
| `values` | layer name -> what is chosen for it, a whole number >= 1 |
| `ratios` | layer name -> fraction removed: of the size, or of 32 bits |
| `cost` | kind -> what the network then costs (flops, params, nonzeros, bits, bytes, ms) |
| `reward`, `accuracy` | in the search, before fine-tuning; null for the uniform setting |
| `budget`, `agent`, `seed`, `rollout` | how it was found |

`values` alone decides when the file is read. Version 1 knew channels only and called them `keep`;
such files are still read.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from learners.quantity import QUANTITIES, Quantity
from utils.errors import InputError
from utils.files import atomic_path
from utils.json_reader import read_json

SCHEMA_VERSION = 2
_VALUES_ENTRY = {1: "keep", SCHEMA_VERSION: "values"}
_MAX_BYTES = 2**24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What is chosen for each layer.

    Attributes:
        quantity: what is chosen, a row of `learners.quantity.QUANTITIES`.
        network: layer name -> its size.
        values: layer name -> what it is given.
        facts: further entries of the file, see the module.
        path: where it was read from, for messages.
    """

    quantity: str
    network: Mapping[str, int]
    values: Mapping[str, int]
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    path: str = "the setting"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all."""
        most = QUANTITIES[self.quantity].most
        document = {
            "schema_version": SCHEMA_VERSION,
            "quantity": self.quantity,
            "network": dict(self.network),
            "values": dict(self.values),
            "ratios": {n: 1.0 - v / (most or self.network[n]) for n, v in self.values.items()},
            **self.facts,
        }
        with atomic_path(path) as temporary:
            text = json.dumps(document, indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    def values_for(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Give the values after looking that the setting is for this network.

        Args:
            sizes: layer name -> size, of the network at hand.

        Returns:
            Layer name -> what it is given.

        Raises:
            InputError: for another network; names the first difference.
        """
        words = QUANTITIES[self.quantity]
        for name, size in sizes.items():
            if name not in self.network:
                self._refuse(f"it has no entry for {name!r}")
            if self.network[name] != size:
                there = f"{self.network[name]} there"
                self._refuse(f"{name!r} has {size} {words.size_unit} here, {there}")
        for name in self.network:
            if name not in sizes:
                self._refuse(f"it has {name!r}, which is not {words.done} here")
        return dict(self.values)

    def _refuse(self, difference: str) -> None:
        raise InputError(
            f"--setting={self.path} was made for another network or with other flags: "
            f"{difference}. Give the setting that a search of this network wrote, with the flags "
            f"that say what is {QUANTITIES[self.quantity].done} as they were."
        )


def read_setting(path: str | os.PathLike[str], quantity: str | None = None) -> Setting:
    """Read and check a setting file.

    Args:
        path: the file.
        quantity: what the learner chooses; None for any.

    Returns:
        The setting.

    Raises:
        InputError: if it cannot be read, is no setting or one of another quantity.
    """
    document = _document(path)
    version, found = document.get("schema_version"), document.get("quantity")
    if type(version) is not int or version not in _VALUES_ENTRY:
        raise _unusable(path, f'it needs "schema_version": {SCHEMA_VERSION}')
    known = isinstance(found, str) and found in QUANTITIES
    if not known or (quantity is not None and found != quantity):
        allowed = " or ".join(map(repr, QUANTITIES if quantity is None else [quantity]))
        raise _unusable(path, f"it chooses {found!r}, not {allowed}")
    words, entry = QUANTITIES[str(found)], _VALUES_ENTRY[version]
    network, values = _numbers(document, path, "network"), _numbers(document, path, entry)
    if network.keys() != values.keys():
        name = sorted(network.keys() ^ values.keys())[0]
        raise _unusable(path, f"{name!r} is in only one of `network` and `{entry}`")
    for name, value in values.items():
        if value > (words.most or network[name]):
            raise _unusable(path, _too_much(name, value, network[name], words))
    own = {"schema_version", "quantity", "network", entry, "ratios"}
    facts = {name: value for name, value in document.items() if name not in own}
    return Setting(quantity=str(found), network=network, values=values, facts=facts, path=str(path))


def _document(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        document = read_json(path, max_bytes=_MAX_BYTES)
    except InputError as error:
        raise _unusable(path, str(error).rstrip(".")) from error
    return document if isinstance(document, dict) else {}


def _numbers(
    document: Mapping[str, Any], path: str | os.PathLike[str], entry: str
) -> dict[str, int]:
    value = document.get(entry)
    whole = isinstance(value, dict) and all(type(n) is int and n >= 1 for n in value.values())
    if not whole or not value:
        raise _unusable(path, f"`{entry}` must give a whole number >= 1 for each layer")
    return dict(value)


def _too_much(name: str, value: int, size: int, words: Quantity) -> str:
    if words.most is not None:
        return f"{name!r} is given {value} {words.unit}, more than {words.most}"
    return f"{name!r} keeps {value} of {size} {words.unit}"


def _unusable(path: str | os.PathLike[str], reason: str) -> InputError:
    files = " or ".join(dict.fromkeys(row.file for row in QUANTITIES.values()))
    return InputError(
        f"--setting={os.fspath(path)} cannot be used: {reason}. Give the {files} that a search "
        "wrote."
    )
