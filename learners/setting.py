"""Settings: the choice for each layer as a file, which a search writes and `--setting` reads.

A JSON object, version 1:

| entry | meaning |
|:--|:--|
| `schema_version` | 1 |
| `quantity` | what is chosen: `channels` kept |
| `network` | group name -> its size; another network has others, which is how one is told apart |
| `keep` | group name -> how many stay |
| `ratios` | group name -> fraction removed |
| `cost` | kind -> what the network then costs (flops, params, bytes, ms) |
| `reward`, `accuracy` | in the search, before fine-tuning; null for the uniform setting |
| `budget`, `agent`, `seed`, `rollout` | how it was found |

`keep` alone decides when the file is read.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from utils.errors import InputError
from utils.files import atomic_path

SCHEMA_VERSION = 1
_MAX_BYTES = 2**24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """How much of each layer is kept.

    Attributes:
        quantity: what is counted.
        network: layer name -> its size.
        keep: layer name -> how much stays.
        facts: further entries of the file, see the module.
        path: where it was read from, for messages.
    """

    quantity: str
    network: Mapping[str, int]
    keep: Mapping[str, int]
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    path: str = "the setting"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all."""
        ratios = {name: 1.0 - kept / self.network[name] for name, kept in self.keep.items()}
        document = {
            "schema_version": SCHEMA_VERSION,
            "quantity": self.quantity,
            "network": dict(self.network),
            "keep": dict(self.keep),
            "ratios": ratios,
            **self.facts,
        }
        with atomic_path(path) as temporary:
            text = json.dumps(document, indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    def counts_for(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Give the counts after looking that the setting is for this network.

        Args:
            sizes: layer name -> size, of the network at hand.

        Returns:
            Layer name -> how much stays.

        Raises:
            InputError: for another network; names the first difference.
        """
        for name, size in sizes.items():
            if name not in self.network:
                self._refuse(f"it has no entry for {name!r}")
            if self.network[name] != size:
                self._refuse(f"{name!r} has {size} channels here, {self.network[name]} there")
        for name in self.network:
            if name not in sizes:
                self._refuse(f"it has {name!r}, which is not pruned here")
        return dict(self.keep)

    def _refuse(self, difference: str) -> None:
        raise InputError(
            f"--setting={self.path} was made for another network or with other flags: "
            f"{difference}. Give the setting that a search of this network wrote, with the flags "
            "that say what is pruned (--cpr_residual, --cpr_skip_*) as they were."
        )


def read_setting(path: str | os.PathLike[str], quantity: str = "channels") -> Setting:
    """Read and check a setting file.

    Args:
        path: the file.
        quantity: what the learner chooses.

    Returns:
        The setting.

    Raises:
        InputError: if it cannot be read, is no setting or one of another quantity.
    """
    where = pathlib.Path(path)
    try:
        if where.stat().st_size > _MAX_BYTES:
            raise _unusable(path, "it is too large for one")
        document = json.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _unusable(path, f"it is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise _unusable(path, f'it needs "schema_version": {SCHEMA_VERSION}')
    if document.get("quantity") != quantity:
        raise _unusable(path, f"it chooses {document.get('quantity')!r}, not {quantity!r}")
    network, keep = _counts(document, path, "network"), _counts(document, path, "keep")
    if network.keys() != keep.keys():
        name = sorted(network.keys() ^ keep.keys())[0]
        raise _unusable(path, f"{name!r} is in only one of `network` and `keep`")
    for name, kept in keep.items():
        if kept > network[name]:
            raise _unusable(path, f"{name!r} keeps {kept} of {network[name]}")
    own = {"schema_version", "quantity", "network", "keep", "ratios"}
    facts = {name: value for name, value in document.items() if name not in own}
    return Setting(quantity=quantity, network=network, keep=keep, facts=facts, path=str(path))


def _counts(
    document: Mapping[str, Any], path: str | os.PathLike[str], entry: str
) -> dict[str, int]:
    value = document.get(entry)
    whole = isinstance(value, dict) and all(type(n) is int and n >= 1 for n in value.values())
    if not whole or not value:
        raise _unusable(path, f"`{entry}` must give a whole number >= 1 for each layer")
    return dict(value)


def _unusable(path: str | os.PathLike[str], reason: str) -> InputError:
    return InputError(
        f"--setting={os.fspath(path)} cannot be used: {reason}. Give the ratios.json that a search "
        "(--cpr_search) wrote."
    )
