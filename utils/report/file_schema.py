"""What `report.json` says of an exported file, and of figures with intervals; see `schema`."""

# ruff: noqa: RUF009  entry() makes a dataclass field, no value that instances would share
from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from utils.report.records import Record, entry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds(Record):
    """A 95 % interval."""

    low: float = entry("its lower end")
    high: float = entry("its upper end")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise ValueError(
                f"an interval must not end before it begins. Received: {self.low} to {self.high}."
            )

    def __contains__(self, value: float) -> bool:
        """Whether a number lies inside, ends included."""
        return self.low <= value <= self.high


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate(Bounds):
    """A figure that chance has a part in, with its 95 % interval."""

    value: float = entry("the figure")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnDevice(Record):
    """A file on the target: run by TensorFlow Lite Micro, or compiled by vela for an Ethos-U."""

    device: str = entry("the target; of an Ethos-U with its multiply-adds per cycle")
    sram_bytes: int = entry(
        "peak of the working memory: the interpreter's arena, or the SRAM of an Ethos-U",
        unit="bytes",
        lower=0,
    )
    reference_operators: tuple[str, ...] = entry(
        "operators that run in slow reference kernels beside those made for the device", default=()
    )
    system_config: str | None = entry(
        "clock and memories, as vela names them; this and what follows null but on an Ethos-U",
        default=None,
    )
    memory_mode: str | None = entry("what lies in which memory, as vela names it", default=None)
    weight_bytes: int | None = entry("weights in the file", unit="bytes", lower=0, default=None)
    encoded_bytes: int | None = entry(
        "weights and offsets as they are read there", unit="bytes", lower=0, default=None
    )
    cycles: int | None = entry("of one inference, without the CPU", lower=0, default=None)
    milliseconds: float | None = entry("time of these", unit="ms", lower=0, default=None)
    memory_bytes: Mapping[str, int] = entry(
        "what is taken of each memory", unit="bytes", lower=0, factory=dict
    )
    cpu_operators: tuple[str, ...] = entry(
        "operators that an Ethos-U cannot run, and why: they stay on the CPU", default=()
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor(Record):
    """An input or an output of a file."""

    name: str = entry("its name in the file")
    shape: tuple[int, ...] = entry("its sizes; the first is the batch")
    dtype: str = entry("type of its numbers")
    scale: float | None = entry(
        "of an integer tensor: a number stands for scale * (number - zero_point)",
        lower=0,
        default=None,
    )
    zero_point: int | None = entry("of an integer tensor: what stands for 0", default=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class File(Record):
    """A file for a device, of any kind, as it was run on this machine."""

    network: str = entry(
        "which network it was made of", choices=("before", "after"), default="after"
    )
    kind: str = entry("how its numbers are stored: float32, dynamic, int8 …")
    path: str | None = entry(
        "the file; null where it missed a limit, or could not be made, and was not written",
        default=None,
    )
    failed: str | None = entry(
        "why there is no file, or none that runs, and what to do; null else", default=None
    )
    passed: bool | None = entry(
        "whether it is within the limits; null when it was not held against them", default=None
    )
    reasons: tuple[str, ...] = entry("which limits it misses", default=())
    worst_layers: tuple[str, ...] = entry(
        "of a file that misses a limit: the layers that lose most, and what to do", default=()
    )
    num_samples: int | None = entry("samples that it was run on", lower=1, default=None)
    top1: float | None = entry(
        "top-1 accuracy of the file on held-out data", lower=0, upper=1, default=None
    )
    top1_interval: Bounds | None = entry(
        "what it may be on other samples like these, see Network", default=None
    )
    change: Estimate | None = entry(
        "its top-1 less that of the same kind of file of the network before, sample by sample",
        default=None,
    )
    metrics: Mapping[str, float] = entry("further metrics by name", factory=dict)
    agreement: float | None = entry(
        "fraction of samples for which file and Keras model name the same class",
        lower=0,
        upper=1,
        default=None,
    )
    gap: float | None = entry(
        "how much worse the file is than the Keras model by the metric that decides, on the same "
        "samples: difference of fractions (of an accuracy: what is lost), of other metrics in "
        "parts of the Keras model's value",
        default=None,
    )
    gap_interval: Bounds | None = entry(
        "of an accuracy: what the gap may be on other samples like these", default=None
    )
    error: float | None = entry(
        "root mean square of the difference to the Keras model's outputs, over that of those",
        lower=0,
        default=None,
    )
    file_bytes: int | None = entry("size of the file", unit="bytes", lower=0, default=None)
    file_bytes_deflated: int | None = entry(
        "its size after zlib at level 9", unit="bytes", lower=0, default=None
    )
    sha256: str | None = entry(
        "SHA-256 of the file, 64 hexadecimal digits; null where it was not written", default=None
    )
    latency_ms_p50: float | None = entry(
        "median time of one sample", unit="ms", lower=0, default=None
    )
    latency_ms_p95: float | None = entry(
        "time that 95 % of the samples stay under", unit="ms", lower=0, default=None
    )
    latency_ratio: Estimate | None = entry(
        "its time over that of the same kind of file of the network before, block by block of the "
        "same turns; below 1 is faster",
        default=None,
    )
    float_operators: tuple[str, ...] = entry(
        "operators of an int8 file that compute in float", default=()
    )
    inputs: tuple[Tensor, ...] = entry("what it takes, in order; of a `.tflite` file", default=())
    outputs: tuple[Tensor, ...] = entry("what it gives, in order; of a `.tflite` file", default=())
    on_device: OnDevice | None = entry(
        "what it costs on the target; null where there is none, or it is not known", default=None
    )
    notes: tuple[str, ...] = entry("how it came about", default=())
