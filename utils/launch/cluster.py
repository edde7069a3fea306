"""Machines and how to reach them: the file `seven.yaml`."""

from __future__ import annotations

import dataclasses
import difflib
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from utils.document import load
from utils.errors import InputError
from utils.schema import brief

_HOST = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")  # no option of ssh's
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """The machines of a run.

    Attributes:
        hosts: slots (workers at most) by host, in order; worker 0 is on the first.
        environment: variables that every worker gets, by name.
        image: container image that the workers run in; None for the machine's own environment.
        engine: the program that runs containers.
        ssh_port: None for ssh's own choice.
        ssh_identity_file: private key; None for ssh's own choice.
        network_interface: that the workers use, such as `eth0`; None where horovodrun shall find
            one that all machines share.
    """

    hosts: Mapping[str, int]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    image: str | None = None
    engine: str = "docker"
    ssh_port: int | None = None
    ssh_identity_file: str | None = None
    network_interface: str | None = None

    @property
    def num_slots(self) -> int:
        """Workers at most."""
        return sum(self.hosts.values())

    def limited(self, num_workers: int | None, source: str) -> Cluster:
        """Take as many slots as there shall be workers, host by host.

        Args:
            num_workers: None for all slots.
            source: what says how many slots there are, for the message.

        Raises:
            InputError: if there are fewer slots.

        Example:
            >>> Cluster(hosts={"a": 4, "b": 4}).limited(6, "seven.yaml").hosts
            {'a': 4, 'b': 2}
        """
        if num_workers is None:
            return self
        if num_workers < 1:
            raise InputError(f"-n={num_workers}: the number of workers must be at least 1.")
        if num_workers > self.num_slots:
            said = ", ".join(f"{host}: {slots}" for host, slots in self.hosts.items())
            raise InputError(
                f"-n={num_workers}: {source} has {self.num_slots} slots ({said}). Ask for at most "
                f"{self.num_slots} workers."
            )
        left = num_workers
        hosts: dict[str, int] = {}
        for host, number in self.hosts.items():
            if left:
                hosts[host] = min(number, left)
                left -= hosts[host]
        return dataclasses.replace(self, hosts=hosts)


def read_cluster(path: pathlib.Path) -> Cluster:
    """Read `seven.yaml`.

    Args:
        path: the file; see `seven.yaml.template`.

    Returns:
        The machines.

    Raises:
        InputError: where the file is missing, no YAML, uses a part twice, or has unknown keys or
            wrong values; names the key, what was received and what is allowed.
    """
    document = _document(path)
    known = {field.name for field in dataclasses.fields(Cluster)}
    for key in document:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise InputError(
                f"{path}: unknown key {brief(key)}. {meant}Known: {', '.join(sorted(known))}."
            )
    given = {key: value for key, value in document.items() if value is not None}
    checks: dict[str, Callable[[str, Any], Any]] = {
        "hosts": _hosts,
        "environment": _environment,
        "image": _text,
        "engine": _engine,
        "ssh_port": _port,
        "ssh_identity_file": _text,
        "network_interface": _text,
    }
    values: dict[str, Any] = {
        key: checks[key](f"{path}: `{key}`", value) for key, value in given.items()
    }
    if "hosts" not in values:
        raise InputError(f"{path}: `hosts` is missing. Write the slots by host, such as gpu-1: 4.")
    if "ssh_identity_file" in values:
        values["ssh_identity_file"] = str(pathlib.Path(values["ssh_identity_file"]).expanduser())
    return Cluster(**values)


def _document(path: pathlib.Path) -> dict[Any, Any]:
    if not path.is_file():
        raise InputError(
            f"there is no file {str(path)!r}. Copy seven.yaml.template to seven.yaml and list your "
            "machines."
        )
    document = load(path, str(path))
    if not isinstance(document, dict):
        raise InputError(
            f"{path} must have keys and values, such as `hosts:`. Received: "
            f"{type(document).__name__}."
        )
    return document


def _hosts(where: str, value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or not value:
        raise InputError(
            f"{where} must be slots by host, such as gpu-1: 4. Received: {brief(value)}."
        )
    for host, slots in value.items():
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise InputError(f"{where}: {brief(host)} is no host's name or address.")
        if not isinstance(slots, int) or isinstance(slots, bool) or slots < 1:
            raise InputError(
                f"{where}: the slots of {host} must be a whole number of at least 1. "
                f"Received: {brief(slots)}."
            )
    return dict(value)


def _environment(where: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be values by variable. Received: {brief(value)}.")
    for name, each in value.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise InputError(f"{where}: {brief(name)} is no variable's name.")
        if not isinstance(each, (str, int, float)) or isinstance(each, bool):
            raise InputError(
                f"{where}: {name} must be a text or a number. Received: {brief(each)}."
            )
    return {name: str(each) for name, each in value.items()}


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value or value.startswith("-"):
        raise InputError(f"{where} must be a text. Received: {brief(value)}.")
    return value


def _engine(where: str, value: Any) -> str:
    if value not in ("docker", "podman"):
        raise InputError(f"{where} must be docker or podman. Received: {brief(value)}.")
    return str(value)


def _port(where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise InputError(
            f"{where} must be a whole number from 1 to 65535. Received: {brief(value)}."
        )
    return value
