"""Hostile files by the hundred, and a judge of what the readers make of them.

Each reader of a file that may come from anywhere is given variations of a good one. It may read
it, where the variation does no harm, or refuse it with one line; no other exception leaves it, no
code of the file's runs, and neither memory nor time is spent beyond bounds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import h5py
import keras
import numpy as np

from benchmarks.faults import hostile_files as variations
from datasets.config import DataConfig
from datasets.paths import read_path_conf
from datasets.user_data import read_data
from learners.channels.measured import Measurements
from learners.search.journal import Journal, Trial
from learners.setting import Setting, read_setting
from nets.pretrained import load_pretrained
from pipeline.reuse import read_record
from utils import document
from utils.errors import InputError
from utils.files import load_keras_model, save_keras_model, save_npz
from utils.graph import from_keras
from utils.graph.disk import load, save
from utils.quantization.packed import save_packed
from utils.training.state import TrainingState, read_state, read_variables, save_state


@dataclasses.dataclass(frozen=True)
class Target:
    """A kind of file and what reads it.

    Attributes:
        name: the file's name.
        write: makes a good one at a path.
        read: reads it.
        variations: of its content.
    """

    name: str
    write: Callable[[pathlib.Path], object]
    read: Callable[[pathlib.Path], object]
    variations: Mapping[str, variations.Content]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a file.

    Attributes:
        what: kind of file and variation.
        fault: what is wrong; empty where it was read or refused in one line.
        said: the refusal.
        seconds: spent on it.
    """

    what: str
    fault: str
    said: str
    seconds: float


def network() -> keras.Model:
    """Make the small network that the good files hold."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1), name="images")
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dense(3, name="fc")(keras.layers.Flatten()(x))
    return keras.Model(inputs, x, name="small")


def targets() -> tuple[Target, ...]:
    """List the kinds of files."""
    model = network()

    def weights_into(path: pathlib.Path) -> None:
        load_pretrained(network(), path)

    return (
        Target("model.keras", _keras(model), load_keras_model, variations.CONFIGS),
        Target("model.keras", _keras(model), load_keras_model, variations.ARCHIVE),
        Target("model.keras", _keras(model), load_keras_model, _H5_IN_ARCHIVE),
        Target("net.h5", lambda path: model.save(path), load_keras_model, variations.BINARY),
        Target(
            "net.fpq", lambda path: save_packed(model, path), load_keras_model, variations.BINARY
        ),
        Target("w.weights.h5", model.save_weights, weights_into, {**variations.BINARY, **_H5}),
        Target("w.npz", _npz(model), weights_into, variations.NPZ),
        Target("state.keras", _state(model), read_state, _STATES),
        Target("search.jsonl", _journal, _read_journal, _lines(variations.JSON)),
        Target("ratios.json", _setting, read_setting, variations.JSON),
        Target("costs.json", _costs, Measurements, variations.JSON),
        Target("s.run.json", _record, read_record, variations.JSON),
        Target("graph.json", _graph(model), lambda path: load(path.parent), variations.JSON),
        Target("params.npz", _graph(model), lambda path: load(path.parent), variations.NPZ),
        Target("d.json", _costs, lambda path: document.load(path, "document"), variations.JSON),
        Target("path.conf", _conf, read_path_conf, variations.BINARY),
        Target("data.npz", _data, lambda path: read_data(str(path), DataConfig()), variations.NPZ),
    )


def attack(count: int, folder: pathlib.Path, seed: int = 0) -> Iterator[Outcome]:
    """Give readers hostile files, each kind and variation in turns.

    Args:
        count: how many.
        folder: an empty one; the process works in it meanwhile.
        seed: equal seeds give equal files.
    """
    rng = random.Random(seed)
    with contextlib.chdir(folder):
        jobs = _jobs(folder)
        for number in range(count):
            target, name, good, ready = jobs[number % len(jobs)]
            path = ready
            if path is None:
                path = good.parent.parent / "attacked" / good.name
                shutil.copytree(good.parent, path.parent, dirs_exist_ok=True)
                path.write_bytes(target.variations[name](good.read_bytes(), rng))
            yield _judged(f"{target.name}, {name}", target, path)


def _jobs(
    folder: pathlib.Path,
) -> list[tuple[Target, str, pathlib.Path, pathlib.Path | None]]:
    """List target, variation, the good file and, where it is none of its content, the file."""
    by_target: list[list[tuple[Target, str, pathlib.Path, pathlib.Path | None]]] = []
    for number, target in enumerate(targets()):
        good = folder / f"{number}" / "good" / target.name
        good.parent.mkdir(parents=True)
        target.write(good)
        target.read(good)  # else nothing would be tried
        rows: list[tuple[Target, str, pathlib.Path, pathlib.Path | None]]
        rows = [(target, name, good, None) for name in target.variations]
        for kind, path in variations.places(good.parent.parent, target.name):
            rows.append((target, kind, good, path))
        by_target.append(rows)
    longest = max(map(len, by_target))
    return [rows[turn % len(rows)] for turn in range(longest) for rows in by_target]


def _judged(what: str, target: Target, path: pathlib.Path) -> Outcome:
    begin, said, fault = time.process_time(), "", ""
    try:
        target.read(path)
    except InputError as error:
        said = str(error)
        fault = "several lines" if "\n" in said else ""
        if "allow_unsafe" in said and "Lambda" not in said:
            fault = "advice that lowers safety"
    except BaseException as error:  # what a user would see as a traceback
        fault = f"{type(error).__name__}: {str(error)[:200]}"
    if pathlib.Path(variations.PAYLOAD).exists():
        fault = "code of the file ran"
        pathlib.Path(variations.PAYLOAD).unlink()
    return Outcome(what, fault, said, time.process_time() - begin)


def peak_bytes() -> int:
    """Give the most memory that this process has had, libraries included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


# --- good files -----------------------------------------------------------------------------------


def _keras(model: keras.Model) -> Callable[[pathlib.Path], None]:
    return lambda path: save_keras_model(model, path)


def _npz(model: keras.Model) -> Callable[[pathlib.Path], None]:
    arrays = {variable.path: np.asarray(variable) for variable in model.weights}
    return lambda path: save_npz(arrays, path)


def _state(model: keras.Model) -> Callable[[pathlib.Path], None]:
    state = TrainingState(
        step=2,
        num_steps=10,
        finished=False,
        fingerprint={"seed": 0, "given": "abc", "parts": ["training"]},
        history=({"epoch": 1, "step": 2, "loss": 0.5},),
        network=read_variables(model.variables),
        optimizer=(np.zeros(3, np.float32),),
        start_loss=0.5,
        extra={"layers": {"conv": {"error": 0.1}}, "seconds": {"training": 1.0}, "notes": ["n"]},
    )
    return lambda path: save_state(path, model, state)


def _journal(path: pathlib.Path) -> None:
    journal = Journal(path.parent, {"seed": 0}, resume=False)
    for index in range(2):
        journal.append(
            Trial(
                index=index, seed=0, actions=(0.5, 0.25), choices={"a": 2, "b": 1},
                cost={"flops": 10.0}, reward=0.5, accuracy=0.5, loss=1.0, seconds=0.5,
            )
        )  # fmt: skip


def _read_journal(path: pathlib.Path) -> Journal:
    return Journal(path.parent, {"seed": 0}, resume=True)


def _lines(changes: Mapping[str, variations.Content]) -> dict[str, variations.Content]:
    """Let variations change one line of several."""

    def in_line(change: variations.Content) -> variations.Content:
        def variation(content: bytes, rng: random.Random) -> bytes:
            lines = content.splitlines()
            place = rng.randrange(len(lines))
            lines[place] = change(lines[place], rng)
            return b"\n".join(lines) + b"\n"

        return variation

    return {name: in_line(change) for name, change in changes.items()}


def _setting(path: pathlib.Path) -> None:
    Setting(quantity="channels", network={"a": 4, "b": 2}, values={"a": 2, "b": 1}).save(path)


def _costs(path: pathlib.Path) -> None:
    Measurements(path, "x").add({"bytes:1,2": 10.0, "latency:1,2": 0.5})


def _record(path: pathlib.Path) -> None:
    path.write_text(json.dumps({"version": 1, "made_from": {"seed": 0, "start": "abc"}}))


def _graph(model: keras.Model) -> Callable[[pathlib.Path], None]:
    return lambda path: save(from_keras(model), path.parent)


def _conf(path: pathlib.Path) -> None:
    path.write_text("# data\ndata_dir_local_mnist = /data/mnist\nFLOWPRESS_DATA = None\n")


def _data(path: pathlib.Path) -> None:
    labels = np.arange(20) % 2
    save_npz({"x": np.zeros((20, 8, 8, 1), np.float32), "y": labels}, path)


# --- HDF5 -----------------------------------------------------------------------------------------


def _h5_changed(change: Callable[[h5py.File, str], None]) -> variations.Content:
    """Change one array of an HDF5 file."""

    def variation(content: bytes, rng: random.Random) -> bytes:
        path = pathlib.Path("changed.h5")
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visititems(lambda n, item: names.append(n) if _is_array(item) else None)
            change(file, rng.choice(names))
        return path.read_bytes()

    return variation


def _is_array(item: Any) -> bool:
    return isinstance(item, h5py.Dataset)


def _with(**options: Any) -> Callable[[h5py.File, str], None]:
    def change(file: h5py.File, name: str) -> None:
        shape = file[name].shape
        del file[name]
        data = options.get("data")
        file.create_dataset(name, **options | ({} if data is None else {"data": data(shape)}))

    return change


def _link(file: h5py.File, name: str) -> None:
    del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/x")


_H5: Mapping[str, variations.Content] = {
    "nan": _h5_changed(_with(data=lambda shape: np.full(shape, np.nan, np.float32))),
    "complex": _h5_changed(_with(data=lambda shape: np.ones(shape, np.complex64))),
    "boolean": _h5_changed(_with(data=lambda shape: np.ones(shape, bool))),
    "structured": _h5_changed(_with(data=lambda shape: np.zeros(shape, [("a", "f4")]))),
    "text": _h5_changed(_with(data=lambda shape: np.full(shape, b"a"))),
    "huge": _h5_changed(_with(shape=(2**40,), dtype="f4", chunks=(1024,))),
    "elsewhere": _h5_changed(_link),
}


def _in_archive(change: variations.Content) -> variations.Content:
    """Change the weights inside a `.keras` file; its checksums stay right."""

    def variation(content: bytes, rng: random.Random) -> bytes:
        parts = variations.entries(content)
        weights = change(parts["model.weights.h5"], rng)
        return variations.packed({**parts, "model.weights.h5": weights})

    return variation


_H5_IN_ARCHIVE = {
    name: _in_archive(change) for name, change in {**_H5, **variations.BINARY}.items()
}


# --- states ---------------------------------------------------------------------------------------


def _header_changed(change: variations.Content) -> variations.Content:
    def variation(content: bytes, rng: random.Random) -> bytes:
        parts = variations.entries(content)
        entry = "flowpress/state.json"
        return variations.packed({**parts, entry: change(parts[entry], rng)})

    return variation


_STATES: Mapping[str, variations.Content] = {
    **{f"header {name}": _header_changed(change) for name, change in variations.JSON.items()},
    **variations.NPZ,
}


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Count what went wrong, for the table."""
    faults = [outcome for outcome in outcomes if outcome.fault]
    return {
        "files": len(outcomes),
        "faults": len(faults),
        "refused": sum(bool(outcome.said) for outcome in outcomes),
        "slowest_seconds": max(outcome.seconds for outcome in outcomes),
        "first_fault": f"{faults[0].what}: {faults[0].fault}" if faults else None,
    }
