"""What an earlier run in the same folder left: gone on from where this run shares it, else named.

A stage that has ended leaves a record beside its state, `model.keras` to `model.run.json`: what it
was made from, flag by flag, and digests of the networks it was given. A run whose first stage was
made from something else is another run and refused. One that shares its first stages with what is
there takes them as they are, and makes the others anew. A stage that was killed half way is never
thrown away without being asked for: it is refused with what differs.
"""

import json
import os
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from learners.base import AbstractLearner
from learners.config import DistillationConfig
from utils import flags
from utils.errors import InputError
from utils.files import atomic_path
from utils.flags import FlagSpec
from utils.json_reader import read_json
from utils.schema import Anything, Fields, MapOf, Whole
from utils.training.state import read_fingerprint

_VERSION = 1
_MAX_RECORD_BYTES = 16 << 20
_RECORD = Fields({"version": Whole(), "made_from": MapOf(Anything())})
_STATE_ENTRY = "flowpress/state.json"
_REPEAT = "Repeat the command with the old values to go on with it"
_ANEW = "start anew with --resume=False or in another --out_dir"
_OF_TEACHERS = frozenset(spec.name for spec in flags.describe(DistillationConfig))
_SOURCE = "source"  # the file of the network that the first stage starts from


def take_up(learner: AbstractLearner, *, is_first: bool, source: str = "") -> str:
    """Compare a stage with what an earlier run left in its place.

    Args:
        learner: before it trains.
        is_first: whether the stage is the first of its run.
        source: the file of the network it starts from; empty where it comes from no file.

    Returns:
        Why the stage must be made anew, which was made from something else; what was left of it
        is removed then. Empty where the stage may go on from what there is.

    Raises:
        InputError: if what is there is another run's, or one's that was killed half way; says in
            words what differs.
    """
    stage = learner.context.stage
    if not learner.context.run.resume:
        return ""
    specs = {s.name: s for c in _configs(learner) for s in flags.describe(type(c))}
    received = made_from(learner, source)
    record = read_record(_record_path(stage.state_path))
    if record is not None:
        changes = differences(record, received, specs)
        if changes and is_first:
            raise InputError(
                f"{stage.state_path} holds another run: {'; '.join(changes)}. {_REPEAT}, or "
                f"{_ANEW}."
            )
        if changes:
            _forget(stage.state_path)
        return "; ".join(changes)
    saved = read_fingerprint(stage.state_path)
    if saved is not None:
        shared = {name: value for name, value in received.items() if name in saved}
        changes = differences({name: saved[name] for name in shared}, shared, specs)
        if changes:
            raise InputError(_half_done(stage.state_path, changes, is_first))
    return ""


def keep_record(learner: AbstractLearner, source: str = "") -> None:
    """Write down what a stage that has ended was made from; arguments as for `take_up`."""
    document = {"version": _VERSION, "made_from": made_from(learner, source)}
    with atomic_path(_record_path(learner.context.stage.state_path)) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def made_from(learner: AbstractLearner, source: str = "") -> dict[str, Any]:
    """Collect, as JSON gives it back, what decides the result of a stage."""
    context = learner.context
    own: dict[str, Any] = {_SOURCE: source}
    if context.stage.entry.starts == "trained":  # a longer training goes on from a shorter one
        own["nb_epochs"] = context.stage.num_epochs
    return json.loads(json.dumps({**learner.fingerprint(), **own}))


def differences(
    saved: Mapping[str, Any], received: Mapping[str, Any], specs: Mapping[str, FlagSpec]
) -> list[str]:
    """Say in words in what two stages differ.

    Args:
        saved: what the one was made from, see `made_from`.
        received: the same of the other.
        specs: the flags by name; other names are digests.

    Returns:
        A phrase per flag or file; what follows from another difference is left out. Empty where
        there is none.
    """
    names = [n for n in {**saved, **received} if saved.get(n) != received.get(n)]
    if "teacher" in names and None in (saved.get("teacher"), received.get("teacher")):
        names = [name for name in names if name not in _OF_TEACHERS]  # one of them has none
    phrases = [_flag_phrase(n, saved.get(n), received.get(n), specs) for n in names]
    phrases += [_file_phrase(n, saved, received, specs) for n in names]
    said = [phrase for phrase in phrases if phrase]
    if "start" in names and (not said or received.get(_SOURCE)):
        said.append(f"the network it starts from is another one{_changed(saved, received)}")
    return said or [f"`{name}` is another one" for name in names if name != _SOURCE]


def _flag_phrase(name: str, old: Any, new: Any, specs: Mapping[str, FlagSpec]) -> str:
    spec = specs.get(name)
    if spec is None or name in ("setting", "enbl_dst"):
        return ""
    if None in (old, new) and spec.default is not None:
        return ""  # the flag has no part in the one of them, which another difference says
    was, now = ("left out" if value is None else value for value in (old, new))
    return f"--{name} was {was}, is {now}"


def _file_phrase(
    name: str, saved: Mapping[str, Any], received: Mapping[str, Any], specs: Mapping[str, FlagSpec]
) -> str:
    old, new = saved.get(name), received.get(name)
    if name == "setting":
        return "--setting says something else" if old and new else _switched("--setting", old, new)
    if name == "teacher":
        another = "the teacher is another one"
        return another if old and new else _switched("distillation (--enbl_dst)", old, new)
    if name in specs or name in ("start", _SOURCE):
        return ""
    return f"the {name.replace('_', ' ')} is another one"


def _switched(what: str, old: Any, new: Any) -> str:
    was, now = ("on" if value else "off" for value in (old, new))
    return f"{what} was {was}, is {now}"


def _changed(saved: Mapping[str, Any], received: Mapping[str, Any]) -> str:
    old, new = saved.get(_SOURCE), received.get(_SOURCE)
    if not new:
        return ""
    return f" ({new} changed)" if new == old else f" ({new}, was {old or 'no file'})"


def _half_done(path: pathlib.Path, changes: list[str], is_first: bool) -> str:
    remove = f"remove {path.with_suffix('')}* to make this stage anew; what came before is kept"
    return (
        f"{path} holds another run, which was stopped half way: {'; '.join(changes)}. {_REPEAT}, "
        f"or {_ANEW if is_first else remove}."
    )


def _configs(learner: AbstractLearner) -> tuple[Any, ...]:
    context = learner.context
    return context.run, context.helper.config, context.stage.config


def _record_path(state_path: pathlib.Path) -> pathlib.Path:
    return state_path.with_suffix(".run.json")


def read_record(path: pathlib.Path) -> dict[str, Any] | None:
    """Read what a stage was made from; None where there is no record, or one of another version.

    Raises:
        InputError: if it is damaged.
    """
    if not os.path.lexists(path):
        return None
    remove = f"Remove it to make the stage anew, or {_ANEW}."
    document = read_json(path, _RECORD, max_bytes=_MAX_RECORD_BYTES, advice=remove)
    return document["made_from"] if document["version"] == _VERSION else None


def _forget(state_path: pathlib.Path) -> None:
    """Remove a stage's record, then its states; networks that are none stay."""
    _record_path(state_path).unlink(missing_ok=True)
    for path in _states(state_path):
        path.unlink()


def _states(state_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """List the states of a recipe: at its path and, of its parts, beside it."""
    stem = state_path.stem
    for path in sorted(state_path.parent.glob("*.keras")):
        if path.stem != stem and not path.stem.startswith((f"{stem}.", f"{stem}_")):
            continue
        with zipfile.ZipFile(path) as archive:
            is_state = _STATE_ENTRY in archive.namelist()
        if is_state:
            yield path
