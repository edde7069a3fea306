"""The record of a search: every roll-out on disk before the next begins, so nothing is lost.

`search.jsonl` begins with a line of what a continuation must share (flags, network), then has a
line per roll-out, written through to the disk. `search_agent.npz` beside it is the agent's state
after the last roll-out, replaced whole. A run that was killed at any moment finds in them all it
needs: a last line that was torn is dropped; roll-outs that the agent had not been told are told
again.
"""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.files import load_npz, save_npz
from utils.json_reader import document
from utils.regular_file import read_regular
from utils.schema import (
    Anything,
    Fields,
    ListOf,
    MapOf,
    Maybe,
    Number,
    Text,
    Whole,
)

VERSION = 1
_START_ANEW = "Start anew with --resume=False, or choose another --out_dir."


_MAX_BYTES = 1 << 30
_HEADER = Fields({"version": Whole(), "fingerprint": MapOf(Anything())})
_TRIAL = Fields(
    {
        "index": Whole(0),
        "seed": Whole(0),
        "actions": ListOf(Number(0.0, 1.0)),
        "choices": MapOf(Whole()),
        "cost": MapOf(Number()),
        "reward": Maybe(Number()),
        "accuracy": Maybe(Number()),
        "loss": Maybe(Number()),
        "seconds": Number(0.0),
    },
    {"error": Text(1 << 20)},
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One roll-out.

    Attributes:
        index: its number, from 0.
        seed: of the search; everything random in the roll-out comes from (seed, index).
        actions: as the environment applied them, per layer.
        choices: layer name -> the choice.
        cost: kind -> what the candidate costs.
        reward: None when the trial failed.
        accuracy: on the held-out images; None without classes, or when it failed.
        loss: likewise.
        seconds: duration.
        error: why it failed, empty when it did not.
    """

    index: int
    seed: int
    actions: tuple[float, ...]
    choices: Mapping[str, int]
    cost: Mapping[str, float]
    reward: float | None
    accuracy: float | None
    loss: float | None
    seconds: float
    error: str = ""

    @property
    def rank(self) -> tuple[float, float]:
        """What trials are compared by: reward, then the smaller loss; failures come last."""
        if self.reward is None:
            return (-math.inf, -math.inf)
        return (self.reward, -math.inf if self.loss is None else -self.loss)


class Journal:
    """Reads and writes the files; see the module.

    Args:
        folder: where.
        fingerprint: what a continuation must share, plain JSON values by name.
        resume: go on from what is there; else it is replaced.

    Attributes:
        trials: the roll-outs on disk, in order.

    Raises:
        InputError: the files are of a search with other flags (names them), or damaged.
    """

    def __init__(
        self, folder: pathlib.Path, fingerprint: Mapping[str, Any], *, resume: bool
    ) -> None:
        self.path = folder / "search.jsonl"
        self._agent_path = folder / "search_agent.npz"
        self._fingerprint = json.loads(json.dumps(dict(fingerprint)))
        self.trials: list[Trial] = []
        if resume and self.path.exists():
            self._read()
        if not self.path.exists() or not resume:
            self._begin()

    def append(self, trial: Trial) -> None:
        """Write a roll-out through to the disk."""
        self._write(dataclasses.asdict(trial))
        self.trials.append(trial)

    def save_agent(self, state: Mapping[str, np.ndarray]) -> None:
        """Replace the agent's state."""
        save_npz(state, self._agent_path)

    def agent_state(self) -> dict[str, np.ndarray] | None:
        """Read the agent's state; None where there is none that fits the roll-outs."""
        if not self._agent_path.exists() or not self.trials:
            return None
        try:
            state = load_npz(self._agent_path)
        except InputError:  # it can be made again from the roll-outs
            return None
        told = state.get("num_told")
        if told is None or told.shape != () or told.dtype.kind not in "iu":
            return None
        return state if 0 <= int(told) <= len(self.trials) else None

    def _begin(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
            self._agent_path.unlink(missing_ok=True)
            self._write({"version": VERSION, "fingerprint": self._fingerprint})
        except OSError as error:
            raise InputError(
                f"cannot write {str(self.path)!r}: {error.strerror}. Choose another --out_dir."
            ) from error

    def _write(self, document: Mapping[str, Any]) -> None:
        line = json.dumps(document, allow_nan=False) + "\n"
        with self.path.open("ab") as stream:
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())

    def _read(self) -> None:
        content = read_regular(self.path, _MAX_BYTES)
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):  # torn by a kill while it was written
            with self.path.open("r+b") as stream:
                stream.truncate(len(whole))
        lines = whole.split(b"\n")[:-1]
        if not lines:
            self.path.unlink()
            return
        rows = [self._parse(line, number) for number, line in enumerate(lines, start=1)]
        self._compare(rows[0])
        for number, row in enumerate(rows[1:], start=2):
            self.trials.append(self._trial(row, number))

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        kind = _HEADER if number == 1 else _TRIAL
        source = f"{self.path}, line {number}"
        return document(line, source, kind, advice=f"The line is damaged. {_START_ANEW}")

    def _trial(self, row: dict[str, Any], number: int) -> Trial:
        trial = Trial(**row | {"actions": tuple(row["actions"])})
        if trial.index != number - 2:
            raise self._damaged(number, f"has the index {trial.index}, not {number - 2}")
        first = self.trials[0] if self.trials else trial
        if (len(trial.actions), [*trial.choices]) != (len(first.actions), [*first.choices]):
            raise self._damaged(number, "is about other layers than the line before")
        return trial

    def _damaged(self, number: int, reason: str) -> InputError:
        return InputError(
            f"{self.path}, line {number}: {reason}. The line is damaged. {_START_ANEW}"
        )

    def _compare(self, header: Mapping[str, Any]) -> None:
        if header["version"] != VERSION:
            raise self._damaged(1, f"is of version {header['version']}, not {VERSION}")
        saved, own = header["fingerprint"], self._fingerprint
        changed = sorted(
            name for name in saved.keys() | own.keys() if saved.get(name) != own.get(name)
        )
        if changed:
            listed = ", ".join(
                f"{name} (was {saved.get(name)!r}, is {own.get(name)!r})" for name in changed[:5]
            )
            raise InputError(
                f"{self.path} is of a search with other flags: {listed}. Give the flags that it "
                f"was begun with. {_START_ANEW}"
            )


def search_folder(artefact: pathlib.Path) -> pathlib.Path:
    """Say where a stage's search writes: beside its artefact, or, where that is one stage's among
    several, in a folder of its name.

    Example:
        >>> search_folder(pathlib.Path("runs/a/model.keras")).as_posix()
        'runs/a'
        >>> search_folder(pathlib.Path("runs/a/model_1_chn_pruned_rmt.keras")).as_posix()
        'runs/a/model_1_chn_pruned_rmt'
    """
    return artefact.parent if artefact.stem == "model" else artefact.with_suffix("")
