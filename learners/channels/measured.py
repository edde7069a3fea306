"""Costs that only the exported file has: bytes, latency, what a device says; predicted, corrected.

A file is too slow to make for every candidate, so a predictor (numbers stored; multiply-adds; the
feature maps alive at once; the table of layer latencies) is fitted to a few whole networks by a
line, and once more to the candidate at hand, whose own file then decides.
"""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from learners.budget import KINDS
from learners.channels.cost import STORED, NetworkCost
from utils.export.runner import timed_call
from utils.export.targets_cost import device_cost
from utils.export.tflite import convert
from utils.files import atomic_path
from utils.graph import to_keras
from utils.json_reader import read_json
from utils.latency import measure, ratio
from utils.multi_gpu_wrapper import current
from utils.schema import Fields, MapOf, Number, Text

ON_DEVICE = ("cycles", "sram")  # of the int8 file, on the target
NUM_SAMPLES = 4  # of noise that such files are calibrated with: their cost does not mind
_STORED = Fields({"of": Text(), "values": MapOf(Number(0.0))})
_MAX_BYTES = 64 << 20
_REMOVE = "It is damaged: remove it, or start anew with --resume=False."
REPEATS, WARMUP = 250, 50  # calls of each file; the median of five blocks is taken
Predictor = Callable[[np.ndarray], np.ndarray]


class Measurements:
    """Numbers that are measured once: a resumed run must go on with the same ones.

    Args:
        path: JSON file that keeps them; None keeps them in memory only.
        subject: of what network and machine they are; those of another in the file do not count.

    Raises:
        InputError: if the file is damaged.
    """

    def __init__(self, path: pathlib.Path | None = None, subject: str = "") -> None:
        self._path = path
        self._subject = subject
        self._values: dict[str, float] = {}
        if path is not None and path.exists():
            stored = read_json(path, _STORED, max_bytes=_MAX_BYTES, advice=_REMOVE)
            if stored["of"] == subject:
                self._values = {key: float(value) for key, value in stored["values"].items()}

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> float:
        return self._values[key]

    def add(self, values: Mapping[str, float]) -> None:
        """Keep further numbers; of several workers those that worker 0 measured."""
        self._values |= current().from_chief(dict(values))
        if self._path is not None:
            with atomic_path(self._path) as temporary:
                kept = {"of": self._subject, "values": self._values}
                temporary.write_text(json.dumps(kept, indent=1), encoding="utf-8")


class FileMeter:
    """Makes candidates' `.tflite` files, float32 and for a device int8, and measures them.

    Args:
        cost: knows the network and how to cut it.
        full: the whole network as a candidate, int [groups].
        measurements: what has been measured already.
        target: the device, of `utils.export.targets.NAMES`; None without one.
    """

    def __init__(
        self,
        cost: NetworkCost,
        full: np.ndarray,
        measurements: Measurements,
        target: str | None = None,
    ) -> None:
        self._target = target
        self._cost = cost
        self._full = full
        self._measurements = measurements
        self._full_call: Callable[[], None] | None = None

    def measure(self, values: np.ndarray, kinds: Sequence[str]) -> dict[str, float]:
        """Measure a candidate.

        Args:
            values: int [groups].
            kinds: of `bytes`, `latency`, and of `ON_DEVICE`.

        Returns:
            Kind -> bytes, cycles, or milliseconds: the median over five blocks of calls in turns
            with the whole network, as a multiple of the whole network's first measurement, so that
            a machine that slows down between two candidates does not favour the earlier.
        """
        keys = {kind: self._key(kind, values) for kind in kinds}
        missing = {kind: key for kind, key in keys.items() if key not in self._measurements}
        if not missing.keys().isdisjoint(ON_DEVICE):
            self._measurements.add(self._on_device(values))
        if not missing.keys() <= set(ON_DEVICE):
            content = convert(to_keras(self._cost.cut(values)), "float32")
            found = {}
            if "bytes" in missing:
                found[keys["bytes"]] = float(len(content))
            if "latency" in missing:
                found[keys["latency"]] = self._latency(values, content)
            self._measurements.add(found)
        return {kind: self._measurements[key] for kind, key in keys.items()}

    def _key(self, kind: str, values: np.ndarray) -> str:
        """Name a measurement."""
        place = f"@{self._target}" if kind in ON_DEVICE else ""
        return f"{kind}{place}:{','.join(map(str, values))}"

    def _on_device(self, values: np.ndarray) -> dict[str, float]:
        """Make a candidate's int8 file and ask the device's interpreter or compiler."""
        if self._target is None:
            raise ValueError("`target` is needed for what a device says. Received: None.")
        model = to_keras(self._cost.cut(values))
        noise = np.random.default_rng(0)
        samples = {
            tensor.name: _noise(noise, (NUM_SAMPLES, *tensor.shape[1:]), tensor.dtype)
            for tensor in model.inputs
        }
        content = convert(model, "int8", [samples], target=self._target)
        said = device_cost(content, self._target)
        found = {"sram": float(said.sram_bytes)}
        if said.estimate is not None:
            found["cycles"] = float(said.estimate.cycles)
        return {self._key(kind, values): amount for kind, amount in found.items()}

    def _latency(self, values: np.ndarray, content: bytes) -> float:
        candidate = timed_call(content)
        if np.array_equal(values, self._full):
            self._full_call = candidate
            alone = measure({"full": candidate}, repeats=REPEATS, warmup=WARMUP)["full"]
            return float(np.median(alone.block_p50))
        reference = self.measure(self._full, ["latency"])["latency"]
        if self._full_call is None:
            self._full_call = timed_call(convert(to_keras(self._cost.cut(self._full)), "float32"))
        calls = {"full": self._full_call, "candidate": candidate}
        stats = measure(calls, repeats=REPEATS, warmup=WARMUP)
        return reference * ratio(stats["candidate"], stats["full"]).median


class MeasuredCost:
    """Counted and measured kinds together; implements `CostModel`.

    Args:
        counted: the counted kinds.
        kinds: of those that are measured, the ones that the budget limits.
        meter: measures files.
        predictors: kind -> what its measurements are a line of.
        candidates: whole networks that the lines are fitted to, int [n, groups].
    """

    def __init__(
        self,
        counted: NetworkCost,
        kinds: Sequence[str],
        meter: FileMeter,
        *,
        predictors: Mapping[str, Predictor],
        candidates: np.ndarray,
    ) -> None:
        self._counted = counted
        self._kinds = tuple(kinds)
        self._meter = meter
        self._predictors = predictors
        found = [meter.measure(row, self._kinds) for row in candidates]
        self._lines = {}
        for kind in self._kinds:
            amounts = np.array([row[kind] for row in found])
            self._lines[kind] = line(predictors[kind](candidates), amounts)
        self._offsets = dict.fromkeys(self._kinds, 0.0)

    def __call__(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Predict the cost of candidates int [n, groups]: kind -> [n]."""
        costs = self._counted(values)
        for kind in self._kinds:
            slope, intercept = self._lines[kind]
            costs[kind] = slope * self._predictors[kind](values) + intercept + self._offsets[kind]
        return {kind: amounts for kind, amounts in costs.items() if kind != STORED}

    def measure(self, values: np.ndarray) -> dict[str, float]:
        """Say what a candidate really costs, all kinds."""
        costs = {kind: float(amounts[0]) for kind, amounts in self(values[None]).items()}
        return costs | self._meter.measure(values, self._kinds)

    def correct(self, values: np.ndarray) -> dict[str, float]:
        """Measure a candidate and shift the predictions so that they are right there."""
        measured = self.measure(values)
        predicted = self(values[None])
        for kind in self._kinds:
            self._offsets[kind] += measured[kind] - float(predicted[kind][0])
        return measured


def _noise(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Draw floats; numbers of other kinds are zeros, valid wherever an index is meant."""
    return generator.normal(size=shape) if dtype.startswith("float") else np.zeros(shape, dtype)


def line(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """Fit `measured = slope * predicted + intercept`; both grow together, whatever the noise says.

    Example:
        >>> slope, intercept = line(np.array([1.0, 2.0, 3.0]), np.array([3.0, 5.0, 7.0]))
        >>> round(slope, 6), round(intercept, 6)
        (2.0, 1.0)
    """
    spread = predicted - predicted.mean()
    slope = float(spread @ measured / max(spread @ spread, np.finfo(float).tiny))
    if slope <= 0.0:
        return float(measured.mean() / max(predicted.mean(), np.finfo(float).tiny)), 0.0
    return slope, float(measured.mean() - slope * predicted.mean())


def measured_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """Say which of some kinds need a file."""
    return tuple(kind for kind in kinds if KINDS[kind].measured)
