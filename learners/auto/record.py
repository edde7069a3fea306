"""What was tried, on disk before the next is begun: a run that was killed does not try it again.

`auto.jsonl` beside the artefact begins with a line of what a continuation must share, then has a
line per candidate.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from utils.atomic import atomic_path
from utils.errors import InputError
from utils.json_reader import parse_json
from utils.regular_file import read_regular

FILE = "auto.jsonl"
_MAX_BYTES = 1 << 30
_ANEW = "Start anew with --resume=False, or choose another --out_dir."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """A candidate that was made.

    Attributes:
        label: `joint`, one of `learners.auto.allocate.WAYS`, or `tuned`.
        values: entries of a setting, see `learners.auto.joint`.
        size: bytes of kernels that were asked for, as the tables count them.
        num_bytes: of its file.
        drop: what the file loses on the held-out images, in points.
        value: of the metric that decides.
        loss: on these images.
        error: squared error of its outputs, per image; see `learners.auto.meter`.
        predicted: what the tables say of it.
        seconds: that it took.
    """

    label: str
    values: Mapping[str, int]
    size: float
    num_bytes: int
    drop: float
    value: float
    loss: float
    error: float
    predicted: float
    seconds: float


class Record:
    """The trials of a run.

    Args:
        folder: of the file.
        shared: what a continuation must share, as JSON has it.
        resume: go on with what is there; else it is written over.

    Raises:
        InputError: if the file is damaged, or of another run.
    """

    def __init__(self, folder: pathlib.Path, shared: Mapping[str, Any], *, resume: bool) -> None:
        self._path = folder / FILE
        self.trials: list[Trial] = []
        head = json.loads(json.dumps(shared))
        if resume and self._path.exists():
            self.trials = self._read(head)
        lines = [head, *(dataclasses.asdict(trial) for trial in self.trials)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        with atomic_path(self._path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def find(self, label: str, values: Mapping[str, int]) -> Trial | None:
        """Look up what was tried already."""
        same = (t for t in self.trials if t.label == label and dict(t.values) == dict(values))
        return next(same, None)

    def add(self, trial: Trial) -> None:
        """Keep a trial, through to the disk."""
        self.trials.append(trial)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(trial)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, head: Mapping[str, Any]) -> list[Trial]:
        content = read_regular(self._path, _MAX_BYTES)
        try:
            lines = content.decode().splitlines()
            saved = parse_json(lines[0], constants=True) if lines else {}
            if saved != head:
                raise self._of_another(dict(saved), head)
            found = []
            for number, line in enumerate(lines[1:], start=2):
                try:
                    found.append(_trial(parse_json(line, constants=True)))
                except json.JSONDecodeError:
                    if number < len(lines):  # only the last can be torn
                        raise
            return found
        except InputError:
            raise
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{self._path} is damaged ({error}). {_ANEW}") from error

    def _of_another(self, saved: Mapping[str, Any], head: Mapping[str, Any]) -> InputError:
        changed = [name for name in head if saved.get(name) != head[name]]
        listed = ", ".join(
            f"{name} was {saved.get(name)!r:.80}, is {head[name]!r:.80}" for name in changed[:5]
        )
        return InputError(
            f"{self._path} is of another run{f': {listed}' if listed else ''}. {_ANEW}"
        )


def _trial(row: Any) -> Trial:
    """Read a line; numbers may be NaN, of training that went astray.

    Raises:
        ValueError: for another type.
        TypeError: for other entries.
    """
    trial = Trial(**row)
    numbers = [trial.size, trial.num_bytes, trial.drop, trial.value, trial.loss, trial.error]
    numbers += [trial.predicted, trial.seconds]
    sound = isinstance(trial.label, str) and isinstance(trial.values, dict)
    if not sound or not all(type(number) in (int, float) for number in numbers):
        raise ValueError(f"its line of {trial.label!r:.80} holds other types")
    if not all(type(value) is int for value in trial.values.values()):
        raise ValueError(f"the choice of {trial.label!r:.80} is not of whole numbers")
    return trial
