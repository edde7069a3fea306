"""The resumable state of a run: one `.keras` file with everything that the next step depends on.

The file is an ordinary `.keras` archive of the network, which plain Keras loads; entries of ours
under `flowpress/` add what Keras leaves out: all variables of the network (the seeds of Dropout and
of augmentation layers are no weights), the optimizer's, the sums of the current epoch's metrics,
the step and the history. It is replaced by one rename: network and state always belong together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from utils.archives import open_archive, read_npy
from utils.errors import InputError
from utils.files import atomic_path, check_keras_archive
from utils.json_reader import document
from utils.schema import Anything, Fields, ListOf, MapOf, Maybe, Number, Switch, Text, Whole

_HEADER_ENTRY = "flowpress/state.json"
_VERSION = 2
GIVEN = "given"
"""Entry of a fingerprint: a digest of the network that a fit was given."""

START_ANEW = "Start anew with --resume=False, or choose another --out_dir."


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What a saved run continues from.

    Attributes:
        step: steps done.
        num_steps: steps of the whole run as it was saved.
        finished: the run reached its end (or a callback ended it).
        fingerprint: values that must be equal for a run to be resumed.
        history: row per finished epoch, see `FitResult`.
        network: values of all variables of the network, in their order.
        optimizer: the same of the optimizer.
        metrics: the same of the current epoch's metrics; empty at the end of an epoch.
        extra_variables: the same of what is trained beside the network: wrappers, heads.
        start_loss: loss of the first step; None before it.
        masked: indices of the trained variables that have a mask in the optimizer.
        epoch_seconds: spent on the current epoch; 0 at its end.
        extra: what the caller of `fit` keeps beside the network.
    """

    step: int
    num_steps: int
    finished: bool
    fingerprint: Mapping[str, Any]
    history: tuple[Mapping[str, float], ...]
    network: tuple[np.ndarray, ...]
    optimizer: tuple[np.ndarray, ...]
    metrics: tuple[np.ndarray, ...] = ()
    extra_variables: tuple[np.ndarray, ...] = ()
    masked: tuple[int, ...] = ()
    start_loss: float | None = None
    epoch_seconds: float = 0.0
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_finite(self) -> bool:
        """Whether no value of the network or the optimizer is NaN or infinite."""
        arrays = (*self.network, *self.optimizer, *self.extra_variables)
        return all(np.isfinite(array).all() for array in arrays)


_ARRAY_FIELDS = ("network", "optimizer", "metrics", "extra_variables")
_TUPLE_FIELDS = ("history", "masked")
_MAX_HEADER_BYTES = 64 << 20
_VERSIONED = Fields({"version": Whole()}, further=True)
_HEADER = Fields(
    {
        "version": Whole(),
        "step": Whole(0),
        "num_steps": Whole(0),
        "finished": Switch(),
        "fingerprint": Fields({}, {GIVEN: Text(), "parts": ListOf(Text())}, further=True),
        "history": ListOf(MapOf(Number(finite=False))),
        "masked": ListOf(Whole(0)),
        "start_loss": Maybe(Number()),
        "epoch_seconds": Number(),
        "extra": Fields(
            {},
            {
                "layers": MapOf(MapOf(Anything())),
                "seconds": MapOf(Number()),
                "notes": ListOf(Text()),
            },
            further=True,
        ),
        **{name: Whole(0, 1_000_000) for name in _ARRAY_FIELDS},
    }
)


def read_variables(variables: Iterable[Any]) -> tuple[np.ndarray, ...]:
    """Copy the values of Keras variables.

    Args:
        variables: of a model, an optimizer or a metric.

    Returns:
        Their values; bfloat16, which no `.npy` file can hold, as float32.
    """
    values = (np.array(keras.ops.convert_to_numpy(variable)) for variable in variables)
    return tuple(v.astype(np.float32) if v.dtype.kind == "V" else v for v in values)


def assign_variables(
    variables: Sequence[Any], values: Sequence[np.ndarray], source: str | os.PathLike[str]
) -> None:
    """Write saved values back after comparing every shape.

    Args:
        variables: Keras variables, changed in place; all of them or none.
        values: from `read_variables`.
        source: the file they come from, for the message.

    Raises:
        InputError: if number or a shape differs; names the first that does.
    """
    if len(variables) != len(values):
        raise InputError(
            f"{source}: its state has {len(values)} variables, this network {len(variables)}: it "
            f"belongs to another network or optimizer. {START_ANEW}"
        )
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            raise InputError(
                f"{source}: its state belongs to another network: {variable.path!r} has the shape "
                f"{value.shape} there and {tuple(variable.shape)} here. {START_ANEW}"
            )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def save_state(path: str | os.PathLike[str], network: keras.Model, state: TrainingState) -> None:
    """Write network and state as one `.keras` file, whole or not at all.

    Args:
        path: the file.
        network: the model whose variables `state.network` was read from.
        state: see `TrainingState`.

    Raises:
        InputError: if the path cannot be written.
    """
    header = {
        "version": _VERSION,
        "step": state.step,
        "num_steps": state.num_steps,
        "finished": state.finished,
        "fingerprint": dict(state.fingerprint),
        "history": [dict(row) for row in state.history],
        "masked": list(state.masked),
        "start_loss": state.start_loss,
        "epoch_seconds": state.epoch_seconds,
        "extra": dict(state.extra),
    } | {name: len(getattr(state, name)) for name in _ARRAY_FIELDS}
    with atomic_path(path) as temporary:
        network.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(_HEADER_ENTRY, json.dumps(header, indent=1))
            for name in _ARRAY_FIELDS:
                for number, array in enumerate(getattr(state, name)):
                    with archive.open(_entry(name, number), "w", force_zip64=True) as stream:
                        np.lib.format.write_array(stream, array, allow_pickle=False)


def _entry(name: str, number: int) -> str:
    return f"flowpress/{name}/{number:04d}.npy"


def read_state(path: str | os.PathLike[str]) -> TrainingState | None:
    """Read the state of a run.

    Args:
        path: the `.keras` file.

    Returns:
        The state; None if there is no such file or it is a model without a state.

    Raises:
        InputError: if the file is damaged, or was written by another version of Flowpress.
    """
    with _opened(path) as (archive, header):
        if archive is None:
            return None
        for name in _ARRAY_FIELDS:
            header[name] = tuple(
                _numbers(path, archive, _entry(name, number)) for number in range(header[name])
            )
        return TrainingState(**header | {name: tuple(header[name]) for name in _TUPLE_FIELDS})


def _numbers(path: str | os.PathLike[str], archive: zipfile.ZipFile, entry: str) -> np.ndarray:
    """Read an array of a state; what Keras variables hold, and finite, as it was saved."""
    array = read_npy(archive, entry)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: {entry} holds {array.dtype}, not numbers. {START_ANEW}")
    if "/metrics/" not in entry and not np.isfinite(array).all():
        raise InputError(f"{path}: {entry} holds NaN or infinite values. {START_ANEW}")
    return array


def read_fingerprint(path: str | os.PathLike[str]) -> Mapping[str, Any] | None:
    """Read a state's fingerprint alone; see `read_state`."""
    with _opened(path) as (archive, header):
        return None if archive is None else header["fingerprint"]


@contextlib.contextmanager
def _opened(
    path: str | os.PathLike[str],
) -> Iterator[tuple[zipfile.ZipFile | None, dict[str, Any]]]:
    """Open a checked file with its header; None where there is no file or no state in it."""
    if not pathlib.Path(path).exists():
        yield None, {}
        return
    check_keras_archive(path)
    with open_archive(path, ".keras") as archive:
        if _HEADER_ENTRY not in archive.namelist():
            yield None, {}
            return
        if archive.getinfo(_HEADER_ENTRY).file_size > _MAX_HEADER_BYTES:
            raise InputError(f"{path}: {_HEADER_ENTRY} is too large for a state. {START_ANEW}")
        source = f"{path}: {_HEADER_ENTRY}"
        content = archive.read(_HEADER_ENTRY)
        # A validation loss may be NaN, and is written so; the schema says where.
        header = document(content, source, _VERSIONED, constants=True, advice=START_ANEW)
        if header["version"] != _VERSION:
            raise InputError(f"{path}: its state is of another version. {START_ANEW}")
        document(content, source, _HEADER, constants=True, advice=START_ANEW)
        yield archive, {name: value for name, value in header.items() if name != "version"}


def check_fingerprint(
    path: str | os.PathLike[str], saved: Mapping[str, Any], received: Mapping[str, Any]
) -> None:
    """Refuse to resume a run that was started differently.

    Args:
        path: the state's file.
        saved: its fingerprint.
        received: the fingerprint of this run, as JSON gives it back.

    Raises:
        InputError: if they differ; names each differing field with both values.
    """
    names = [name for name in {**saved, **received} if saved.get(name) != received.get(name)]
    if names:
        differences = "; ".join(
            f"{name}: saved {saved.get(name)!r}, received {received.get(name)!r}"
            if name != GIVEN
            else "it was given another network"
            for name in names
        )
        raise InputError(
            f"{path} holds a run that was started differently ({differences}). Repeat the call "
            f"with the saved values to resume it. {START_ANEW}"
        )
