"""Files of networks, made in a process of their own that may crash.

The process is started once and makes one file after the other; where it crashes, that file has
failed, and the next one is asked of a new process.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from utils.children import end_child
from utils.errors import InputError
from utils.export.child import CONVERTED, DONE, FAILED
from utils.export.config import ConvertConfig
from utils.export.data_facts import NO_FACTS, DataFacts
from utils.export.endpoints import output_names
from utils.export.errors import ExportError
from utils.export.exporters import (
    EXPORTERS,
    Exporter,
    Made,
    Source,
    load_function,
    require_package,
)
from utils.export.metadata import with_metadata
from utils.export.packed import is_low_bit
from utils.export.saved_model import looping_layers, write_saved_model
from utils.export.tflite import Calibration, calibration_samples, explain, quiet_converter
from utils.files import save_npz
from utils.folders import passing_folder

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_START_SECONDS = 120.0  # for Python and TensorFlow to start on a busy machine


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """A network to make files of.

    Attributes:
        name: "before", "after" …; for messages and as a key.
        model: the network.
        deployed: the same for the device, with all ranges inside, where the learner made one: files
            that compute in integers are made of it.
        is_result: whether kinds that are optional are made of it.
        packed: whether the packed file is made of it even where no kernel has few bits.
    """

    name: str
    model: keras.Model
    deployed: keras.Model | None = None
    is_result: bool = True
    packed: bool = False

    def source(self, row: Exporter) -> keras.Model:
        """Give the network that a kind of file is made of."""
        return (self.deployed or self.model) if self.has_ranges(row) else self.model

    def has_ranges(self, row: Exporter) -> bool:
        """Whether that network holds the ranges of the file."""
        wanted = (row.calibrated and not row.own_ranges) or row.deployed
        return self.deployed is not None and wanted


def deployed_name(name: str) -> str:
    """Give the key of what a network's integer files are compared with, see `Exported.deployed`."""
    return f"{name}, deployed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversion:
    """What came of making one file.

    Attributes:
        content: the file; None if it could not be made, or not run.
        notes: how it came about.
        deployed: it was made of `Exported.deployed`.
        failed: why there is no content, and what to do.
        declined: of an optional kind instead: why there is none.
    """

    content: bytes | None = None
    notes: tuple[str, ...] = ()
    deployed: bool = False
    failed: str = ""
    declined: str = ""


def convert_all(
    networks: Sequence[Exported],
    kinds: Sequence[str],
    config: ConvertConfig,
    calibration: Calibration | None,
    facts: DataFacts = NO_FACTS,
) -> dict[tuple[str, str], Conversion]:
    """Make every kind of file of every network, and run each once.

    Args:
        networks: with different names, all with the same inputs.
        kinds: of `EXPORTERS`; the packed file comes of itself, see `ConvertConfig.packed`.
        config: calibration, time limit, packed file.
        calibration: see `utils.export.tflite.convert`; read once.
        facts: of the data, for `ConvertConfig.tflite_metadata`.

    Returns:
        (network, kind) -> content, or why there is none. Nothing is raised but `InputError` for a
        `config` that cannot be.
    """
    with passing_folder() as folder:
        work = _Work(pathlib.Path(folder), config, calibration, facts)
        return {
            (network.name, kind): work.convert(network, kind)
            for network in networks
            for kind in _kinds_of(network, kinds, config)
            if network.is_result or not (EXPORTERS[kind].optional or EXPORTERS[kind].deployed)
        }


def _kinds_of(network: Exported, kinds: Sequence[str], config: ConvertConfig) -> tuple[str, ...]:
    """Add the packed file where `ConvertConfig.packed` says so."""
    packed = config.packed == "always" or (
        config.packed == "auto" and (network.packed or is_low_bit(network.model))
    )
    return (*kinds, *(["fpq"] if packed else []))


class _Work:
    """Writes networks and samples once and asks for one file after the other."""

    def __init__(
        self,
        folder: pathlib.Path,
        config: ConvertConfig,
        calibration: Calibration | None,
        facts: DataFacts,
    ) -> None:
        self._folder = folder
        self._config = config
        self._calibration = calibration
        self._facts = facts
        self._batches: list[Any] | None = None
        self._written: dict[tuple[str, bool, bool], tuple[pathlib.Path, tuple[str, ...]]] = {}

    def convert(self, network: Exported, kind: str) -> Conversion:
        """Make one file."""
        found = dataclasses.replace(
            self._with_facts(self._made(network, kind), network, kind),
            deployed=network.has_ranges(EXPORTERS[kind]),
        )
        if EXPORTERS[kind].optional and found.failed:
            return Conversion(declined=found.failed)
        return found

    def _made(self, network: Exported, kind: str) -> Conversion:
        row = EXPORTERS[kind]
        if row.keras:
            return self._made_here(network, kind, row)
        try:
            _check_needs(network, kind, row)
            folder, unrolled = self._saved_model(network, row)
            request = {
                "name": network.model.name,
                "kind": kind,
                "saved_model": str(folder),
                "ranges_inside": network.has_ranges(row),
                "io_format": self._config.tflite_io,
                "target_device": self._config.target,
                "outputs": output_names(network.source(row)),
                "target": str(self._folder / f"{network.name}_{kind}.file"),
                **self._samples(network, row),
            }
        except (InputError, ExportError) as error:
            return Conversion(failed=str(error))
        except Exception as error:  # tracing a network raises whatever its layers raise
            return Conversion(failed=explain(network.model.name, kind, error))
        found = _process().make(request, 60.0 * self._config.tflite_minutes)
        if unrolled and not found.failed:
            note = (
                f"The recurrent layers {', '.join(unrolled)} stand unrolled in the {kind} file: a "
                "loop cannot be calibrated. The outputs are the same."
            )
            return dataclasses.replace(found, notes=(*found.notes, note))
        return found

    def _made_here(self, network: Exported, kind: str, row: Exporter) -> Conversion:
        """Make a file in this process, where the network's own classes are."""
        try:
            _check_needs(network, kind, row)
            source = Source(
                model=network.source(row),
                samples=self._drawn(network) if row.calibrated else (),
                io_format=self._config.tflite_io,
            )
            made: Made = load_function(row.make)(source)
        except ExportError as error:
            return Conversion(failed=str(error))
        except InputError as error:
            asked = row.ending == ".tflite"
            advice = f"Leave {kind} out of --tflite." if asked else "Leave it out: --packed=never."
            return Conversion(failed=f"{str(error).rstrip('. ')}. {advice}")
        except Exception as error:  # what a layer's get_config raises
            return Conversion(failed=explain(network.model.name, kind, error))
        return Conversion(content=made.content, notes=made.notes)

    def _drawn(self, network: Exported) -> list[dict[str, np.ndarray]]:
        """Take a network's calibration samples."""
        if self._batches is None and self._calibration is not None:
            self._batches = list(self._calibration)  # perhaps it can be read only once
        return calibration_samples(network.model, self._batches)

    def _with_facts(self, made: Conversion, network: Exported, kind: str) -> Conversion:
        """Put what is known of the data into a `.tflite` file."""
        wanted = self._config.tflite_metadata and EXPORTERS[kind].ending == ".tflite"
        if made.content is None or not wanted or not self._facts:
            return made
        content = with_metadata(made.content, self._facts, name=network.model.name)
        return dataclasses.replace(made, content=content)

    def _saved_model(
        self, network: Exported, row: Exporter
    ) -> tuple[pathlib.Path, tuple[str, ...]]:
        model = network.source(row)
        unroll = not row.loops and bool(looping_layers(model))
        key = (network.name, network.has_ranges(row), unroll)
        if key not in self._written:
            folder = self._folder / f"network_{len(self._written)}"
            with quiet_converter():
                names = write_saved_model(model, folder, unroll=unroll)
            self._written[key] = (folder, names)
        return self._written[key]

    def _samples(self, network: Exported, row: Exporter) -> dict[str, Any]:
        """Write a network's calibration samples where the row needs them."""
        if not row.calibrated or network.has_ranges(row):
            return {"samples": None, "inputs": []}
        samples = self._drawn(network)
        names = list(samples[0])
        path = self._folder / f"samples_{network.name}.npz"
        if not path.exists():
            columns = [np.concatenate([sample[name] for sample in samples]) for name in names]
            save_npz({f"input_{number}": a for number, a in enumerate(columns)}, path)
        return {"samples": str(path), "inputs": names}


def _check_needs(network: Exported, kind: str, row: Exporter) -> None:
    if row.deployed and network.deployed is None:
        raise ExportError(
            f"a file of the kind {kind} is made of a network that was trained for it, and the "
            f"learner made none. Leave {kind} out of --tflite."
        )
    require_package(kind)


class _Process:
    """The process that makes files, see `utils.export.child`."""

    def __init__(self) -> None:
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",  # conversion needs no accelerator, and would take one
        }
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "utils.export.child"],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is for the parent; the child ends with its input
        )
        self._fresh = True
        self._rest = b""

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def make(self, request: Mapping[str, Any], seconds: float) -> Conversion:
        """Ask for a file.

        Args:
            request: see `utils.export.child`.
            seconds: limit, beyond the process' own start.

        Returns:
            What came of it.
        """
        deadline = time.monotonic() + seconds + (_START_SECONDS if self._fresh else 0.0)
        self._fresh = False
        kind, notes, part = request["kind"], (), "while it was converted"
        try:
            self._send(request)
            while True:
                answer = self._receive(deadline)
                if answer["state"] == FAILED:
                    return Conversion(failed=str(answer["reason"]))
                if answer["state"] == DONE:
                    return Conversion(
                        content=pathlib.Path(request["target"]).read_bytes(), notes=notes
                    )
                if answer["state"] == CONVERTED:
                    notes, part = tuple(answer["notes"]), "when it was run for the first time"
        except TimeoutError:
            self.close()
            minutes = f"{seconds / 60:g} minutes"
            return Conversion(
                failed=f"the {kind} file was not ready after {minutes} (--tflite_minutes). Allow "
                f"more, or leave {kind} out of --tflite."
            )
        except (EOFError, BrokenPipeError):
            return Conversion(failed=self._crash(kind, part))
        except BaseException:  # Ctrl-C: the answer to come must not be taken for the next one's
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        end_child(self._process, self._errors)

    def _send(self, request: Mapping[str, Any]) -> None:
        os.write(self._stream(self._process.stdin), (json.dumps(request) + "\n").encode())

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._rest:
            stream = self._stream(self._process.stdout)
            ready, _, _ = select.select([stream], [], [], max(deadline - time.monotonic(), 0.0))
            if not ready:
                raise TimeoutError
            block = os.read(stream, 1 << 16)
            if not block:
                raise EOFError
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @staticmethod
    def _stream(stream: Any) -> int:
        number: int = stream.fileno()
        return number

    def _crash(self, kind: str, part: str) -> str:
        """Say why the process is gone and what to do."""
        status = self._process.wait()
        advice = f"Leave {kind} out of --tflite."
        if status == -signal.SIGKILL:
            return (
                f"the {kind} file was stopped from outside {part}, as when memory runs out. Free "
                f"some, or choose other kinds: {advice}"
            )
        if status < 0:
            return (
                f"the process of the {kind} file crashed {part} ({signal.Signals(-status).name}): "
                "an error in TensorFlow Lite. Loops and constant activations are known causes. "
                f"{advice}"
            )
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "no message"
        return f"the process of the {kind} file ended {part} (status {status}: {reason}). {advice}"


_current: list[_Process] = []  # the process in use, if there is one


def _process() -> _Process:
    """Give the process in use; a new one where there is none or it is gone."""
    if not _current or not _current[0].is_alive:
        close()
        _current.append(_Process())
    return _current[0]


def close() -> None:
    """End the process; the next file starts another one."""
    for process in _current:
        process.close()
    _current.clear()


atexit.register(close)
