"""What an int8 `.tflite` file costs on an Arm Ethos-U, without one: as its compiler estimates.

Ethos-U are processors beside a microcontroller that run int8 networks. Arm's compiler `vela` turns
a `.tflite` file into commands for one of them. It encodes the weights without loss, so that zeros
and few different values take fewer bits, and estimates cycles from compute and from the traffic to
each memory. What an Ethos-U cannot run stays on the microcontroller, which the estimate leaves out.

`vela` comes with the optional package `ethos-u-vela`. It is C++ in part and can crash on a bad
file, so it runs in a process of its own.

Reference: Arm, "Vela compiler", https://gitlab.arm.com/artificial-intelligence/ethos-u/ethos-u-vela
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import math
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Mapping

from utils.errors import InputError
from utils.export.targets import ACCELERATORS
from utils.flags import nearest
from utils.folders import passing_folder

#: `vela` takes seconds; a file on which it takes longer is given up.
MAX_SECONDS = 600.0

_CONFIG_FILE = "Arm/vela.ini"  # comes with vela
_KIB = 1024
_MEMORIES = {
    "SRAM": "sram_memory_used",
    "DRAM": "dram_memory_used",
    "on-chip flash": "on_chip_flash_memory_used",
    "off-chip flash": "off_chip_flash_memory_used",
}
_REFUSED = re.compile(
    r"operator: (?P<operator>\w+), ofm: '(?P<tensor>[^']*)'\n\s*Reason: (?P<reason>[^\n]*)"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A device to estimate for.

    Attributes:
        accelerator: one of `ACCELERATORS`.
        system_config: clock and memories, a section of vela's configuration such as
            `Ethos_U55_Deep_Embedded`; None for vela's choice.
        memory_mode: what lies in which memory, e.g. `Sram_Only`; None for vela's choice.

    Raises:
        InputError: for an unknown accelerator, a system of another family, or one without a memory
            mode (and the other way round): vela takes both or none.
    """

    accelerator: str
    system_config: str | None = None
    memory_mode: str | None = None

    def __post_init__(self) -> None:
        if self.accelerator not in ACCELERATORS:
            raise InputError(
                f"there is no accelerator {self.accelerator!r}. "
                f"{nearest(self.accelerator, ACCELERATORS)}"
            )
        if (self.system_config is None) != (self.memory_mode is None):
            raise InputError(
                "system configuration and memory mode must be given together. Received: "
                f"{self.system_config} and {self.memory_mode}."
            )
        family = self.accelerator.rpartition("-")[0].replace("ethos-u", "Ethos_U")
        if self.system_config is not None and not self.system_config.startswith(f"{family}_"):
            raise InputError(
                f"the system configuration of {self.accelerator} must be one of {family}_…. "
                f"Received: {self.system_config!r}. `vela --list-configs {_CONFIG_FILE}` lists all."
            )


@dataclasses.dataclass(frozen=True)
class CpuOperator:
    """An operator that the Ethos-U cannot run.

    Attributes:
        operator: its name in the file, e.g. `CUMSUM`.
        tensor: the tensor that it makes.
        reason: why, in the compiler's words; empty where it gives none.
    """

    operator: str
    tensor: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.operator} ({self.tensor}{': ' if self.reason else ''}{self.reason})"


@dataclasses.dataclass(frozen=True)
class NpuOperator:
    """An operator on the Ethos-U; one of the file may become several.

    Attributes:
        operator: the operator of the file that it is part of, e.g. `Conv2D`.
        tensor: the tensor that it makes; its name tells the Keras layer.
        cycles: estimated.
        macs: multiply-adds.
    """

    operator: str
    tensor: str
    cycles: int
    macs: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class NpuEstimate:
    """What a file costs on a device; cycles and bytes are those of the Ethos-U alone.

    Attributes:
        target: the device, with the system and the memory mode that were taken.
        weight_bytes: weights in the file.
        encoded_bytes: weights and offsets as the Ethos-U reads them.
        cycles: of one inference, estimated.
        clock_hz: cycles per second.
        memory_bytes: bytes taken of each memory, those that are used.
        npu_operators: in the order of execution.
        cpu_operators: what the Ethos-U cannot run.
    """

    target: Target
    weight_bytes: int
    encoded_bytes: int
    cycles: int
    clock_hz: float
    memory_bytes: Mapping[str, int]
    npu_operators: tuple[NpuOperator, ...]
    cpu_operators: tuple[CpuOperator, ...]

    @property
    def sram_bytes(self) -> int:
        """Peak of the memory that activations lie in."""
        return self.memory_bytes.get("SRAM", 0)

    @property
    def milliseconds(self) -> float:
        """Time of one inference on the Ethos-U, estimated."""
        return 1000.0 * self.cycles / self.clock_hz


def require_vela() -> None:
    """Refuse where the compiler is not installed.

    Raises:
        InputError: says how to install it.
    """
    if importlib.util.find_spec("ethosu") is None:
        raise InputError(
            "estimates for Ethos-U need the package ethos-u-vela, which is not installed. Install "
            "the extra `npu`: pip install '.[npu]'."
        )


def estimate(content: bytes, target: Target, *, seconds: float = MAX_SECONDS) -> NpuEstimate:
    """Compile a file for a device and read what the compiler says.

    Args:
        content: an int8 `.tflite` file that the interpreter accepts.
        target: the device.
        seconds: time limit.

    Returns:
        The estimate.

    Raises:
        InputError: if the compiler is not installed, refuses the file or the target, crashes,
            takes too long, or finds nothing in the file that an Ethos-U can run.
    """
    require_vela()
    with passing_folder() as name:
        folder = pathlib.Path(name)
        (folder / "network.tflite").write_bytes(content)
        said = _compile(folder, target, seconds)
        found = _read(folder, target, said)
    if not found.npu_operators:
        raise InputError(
            f"{target.accelerator} can run nothing of this file, beginning with "
            f"{found.cpu_operators[0] if found.cpu_operators else 'no operator'}. Give an int8 "
            "file."
        )
    return found


def _compile(folder: pathlib.Path, target: Target, seconds: float) -> str:
    """Run the compiler; give what it printed."""
    command = [sys.executable, "-P", "-m", "ethosu.vela", "network.tflite", "--output-dir=out"]
    command += [f"--accelerator-config={target.accelerator}", "--verbose-performance"]
    if target.system_config is not None:
        command += [f"--config={_CONFIG_FILE}", f"--system-config={target.system_config}"]
        command += [f"--memory-mode={target.memory_mode}"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"vela was not ready after {seconds:g} seconds.") from None
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        raise InputError(f"vela cannot compile the file: {_reason(done.returncode, text)}.")
    return text


def _reason(status: int, text: str) -> str:
    if status < 0:
        return f"it crashed ({signal.Signals(-status).name})"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else f"status {status}"
    return re.sub(r"^[\w.]+(Error|Exception): |^'Error: |'$", "", last).rstrip(".")


def _read(folder: pathlib.Path, target: Target, said: str) -> NpuEstimate:
    """Read the compiler's tables, and the file that it wrote."""
    from utils.export.flatbuffer import read_graph

    try:
        summary = _rows(folder, "network_summary_*.csv")[0]
        rows = [row for row in _rows(folder, "network_per-layer.csv") if row["Target"] == "NPU"]
        operators = tuple(
            NpuOperator(
                row["Original Operator"],
                row["Name"].split(";")[0],
                int(float(row["Op Cycles"])),
                int(float(row["MAC Count"])),
            )
            for row in rows
        )
        memory = {name: _KIB * _number(summary[key]) for name, key in _MEMORIES.items()}
        graph = read_graph(next((folder / "out").glob("*_vela.tflite")).read_bytes())
        refused = _REFUSED.finditer(said)
        reasons = {match["tensor"]: match["reason"].split(" (")[0] for match in refused}
        names = [(op.name, graph.tensors[op.outputs[0]].name) for op in graph.operators]
        return NpuEstimate(
            target=dataclasses.replace(
                target,
                system_config=summary["system_config"],
                memory_mode=summary["memory_mode"],
            ),
            weight_bytes=round(_number(summary["total_original_weights"])),
            encoded_bytes=round(_number(summary["total_npu_encoded_weights"])),
            cycles=round(_number(summary["cycles_total"])),
            clock_hz=_number(summary["core_clock"]),
            memory_bytes={name: round(value) for name, value in memory.items() if value},
            npu_operators=operators,
            cpu_operators=tuple(
                CpuOperator(name, tensor.split(";")[0], reasons.get(tensor, ""))
                for name, tensor in names
                if name != "CUSTOM"  # what the Ethos-U runs is one such operator
            ),
        )
    except (LookupError, StopIteration, TypeError, ValueError) as error:  # a cut-off row has None
        raise InputError(
            f"vela's result cannot be read ({type(error).__name__}: {error}): another version may "
            "write it otherwise. 5.2 is known to work."
        ) from error


def _rows(folder: pathlib.Path, pattern: str) -> list[dict[str, str]]:
    with next((folder / "out").glob(pattern)).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _number(text: str) -> float:
    """Read a finite number that is not negative."""
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{text!r} is no such number")
    return value
