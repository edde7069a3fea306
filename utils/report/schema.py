"""`report.json`, version 2: every entry with its type, bounds, unit and meaning.

Fractions are in [0, 1] (0.9173, not 91.73). FLOPs are multiply-adds counted once. A ratio is the
fraction removed. `null` stands for "not measured" or "does not apply", never for zero. The tables
in `docs/report.md` and `docs/report.schema.json` are made from these classes (`schema_page`).

Entries with a default may be added within a version; an entry that changes its meaning or goes
away makes a new one.
"""

# ruff: noqa: RUF009  entry() makes a dataclass field, no value that instances would share
from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from utils.report.environment import (
    Machine,
    flowpress_version,
    library_versions,
    this_machine,
    utc_now,
)
from utils.report.file_schema import Bounds, Estimate, File
from utils.report.records import Record, Scalar, entry

SCHEMA_VERSION = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(Record):
    """A Keras network."""

    top1: float | None = entry(
        "top-1 accuracy of the Keras model on the evaluation data; null when it classifies nothing",
        lower=0,
        upper=1,
        default=None,
    )
    num_samples: int | None = entry("samples that it was scored on", lower=1, default=None)
    top1_interval: Bounds | None = entry(
        "what its accuracy may be on other samples like these: Wilson's interval; null when it is "
        "not known on which samples it is right",
        default=None,
    )
    change: Estimate | None = entry(
        "its top-1 less that of the network before, sample by sample: Newcombe's interval for "
        "pairs; null for the network before itself",
        default=None,
    )
    metrics: Mapping[str, float] = entry("further metrics by name, such as mAP", factory=dict)
    params: int = entry("weights, including those that training does not change", lower=0)
    nonzeros: int = entry("weights that are not exactly zero", lower=0)
    sparsity: float = entry("fraction of weights that are exactly zero", lower=0, upper=1)
    scattered_zeros: float | None = entry(
        "fraction of the kernels' weights that are exactly zero while their input channel and "
        "their output channel are not: what no cut takes away; null without a kernel",
        lower=0,
        upper=1,
        default=None,
    )
    bits: float | None = entry(
        "bits of a kernel's weight, mean over all; see Layer; null without a kernel",
        lower=0,
        default=None,
    )
    flops: int | None = entry(
        "multiply-adds of one sample; null when they could not be counted", lower=0, default=None
    )
    sparse_flops: int | None = entry(
        "those of them whose weight is not exactly zero", lower=0, default=None
    )
    peak_activations: int | None = entry(
        "values that all tensors alive together hold at most, of one sample: times 4 the bytes in "
        "float32, once the bytes in int8; null where a size is open",
        lower=0,
        default=None,
    )
    file_bytes: int | None = entry(
        "size of the `.keras` file, without an optimizer; null when it was not saved",
        unit="bytes",
        lower=0,
        default=None,
    )
    file_bytes_deflated: int | None = entry(
        "its size after zlib at level 9", unit="bytes", lower=0, default=None
    )
    sha256: str | None = entry(
        "SHA-256 of the `.keras` file, 64 hexadecimal digits; equal runs give equal files",
        default=None,
    )
    latency_ms_p50: float | None = entry(
        "median time of one sample through its float32 file, all files in turns",
        unit="ms",
        lower=0,
        default=None,
    )
    latency_ms_p95: float | None = entry(
        "time that 95 % of the samples stay under", unit="ms", lower=0, default=None
    )
    path: str | None = entry("the `.keras` file", default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nonzeros > self.params:
            raise ValueError(
                "a network cannot have more non-zero weights than weights. Received: "
                f"nonzeros={self.nonzeros}, params={self.params}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer(Record):
    """A layer with weights, before and after."""

    name: str = entry("the layer's name")
    op: str = entry("its kind, such as Conv2D")
    channels_in_before: int | None = entry("input channels before", lower=0, default=None)
    channels_in_after: int | None = entry("input channels after", lower=0, default=None)
    channels_out_before: int | None = entry("output channels before", lower=0, default=None)
    channels_out_after: int | None = entry("output channels after", lower=0, default=None)
    params_before: int = entry("weights before", lower=0)
    params_after: int = entry("weights after", lower=0)
    flops_before: int = entry("multiply-adds before", lower=0)
    flops_after: int = entry("multiply-adds after", lower=0)
    sparse_flops_before: int | None = entry(
        "multiply-adds before whose weight is not exactly zero", lower=0, default=None
    )
    sparse_flops_after: int | None = entry("the same after", lower=0, default=None)
    ratio: float = entry("fraction of its input channels removed", lower=0, upper=1, default=0.0)
    sparsity_before: float | None = entry(
        "fraction of exact zeros in its kernels before; null without a kernel",
        lower=0,
        upper=1,
        default=None,
    )
    sparsity_after: float | None = entry("the same after", lower=0, upper=1, default=None)
    bits_before: int | None = entry(
        "bits that tell the values of its kernels apart before: levels of a grid, or of shared "
        "values, per tensor or per channel; the width of the number format where they are any; "
        "null without a kernel",
        lower=0,
        default=None,
    )
    bits_after: int | None = entry("the same after", lower=0, default=None)
    facts: Mapping[str, Scalar] = entry(
        "what the learners say of it, by name: error (relative error of its output after "
        "reconstruction) …",
        factory=dict,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPoint(Record):
    """What training reported at one moment."""

    stage: str = entry("stage of the pipeline, a key of `seconds` such as fine_tuning")
    epoch: int = entry("epoch within the stage, from 1", lower=1)
    step: int = entry("batches trained so far in the stage", lower=0)
    loss: float | None = entry("training loss since the last point", default=None)
    accuracy: float | None = entry(
        "training accuracy since the last point", lower=0, upper=1, default=None
    )
    others: Mapping[str, float | None] = entry(
        "further figures beside these, by name: val_loss, val_accuracy, lrn_rate …",
        factory=dict,
        rest=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Capability(Record):
    """What can be done with a layer of the network before."""

    layer: str = entry("the layer's name")
    action: str = entry(
        "cut: its output channels can be cut; anything else, such as kept: they cannot"
    )
    reason: str = entry("why")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassChange(Record):
    """What changed for the samples of one class."""

    label: int = entry("the class", lower=0)
    num_samples: int = entry("samples of it", lower=1)
    right_before: int = entry("of these, named rightly by the network before", lower=0)
    right_after: int = entry("of these, named rightly by the network after", lower=0)
    lost: int = entry("right before, wrong after", lower=0)
    gained: int = entry("wrong before, right after", lower=0)
    taken_for: int | None = entry(
        "the class that most of those lost are now taken for; null where none was lost",
        lower=0,
        default=None,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rollout(Record):
    """One trial of a search."""

    index: int = entry("its number, from 0", lower=0)
    reward: float | None = entry("its reward; null when the trial failed")
    best: float | None = entry("best reward so far; null before the first success")
    seconds: float = entry("its duration", unit="s", lower=0)
    accuracy: float | None = entry(
        "its accuracy on held-out training images, before any fine-tuning",
        lower=0,
        upper=1,
        default=None,
    )
    cost: Mapping[str, float] = entry(
        "what it costs, by the kinds of the budget: flops, bytes …", factory=dict
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate(Record):
    """A setting that a search found or was compared with."""

    index: int | None = entry("roll-out that tried it; null for the uniform setting", default=None)
    reward: float | None = entry("its reward in the search", default=None)
    top1: float | None = entry(
        "its top-1 accuracy after the fine-tuning that both were given",
        lower=0,
        upper=1,
        default=None,
    )
    setting: Mapping[str, float] = entry("the choice for each layer, by name")
    cost: Mapping[str, float] = entry(
        "what it costs, by the kinds of the budget; empty where it was moved since it was tried",
        factory=dict,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared(Record):
    """A candidate that a search is compared with: made and checked as the winner was."""

    label: str = entry("how it was made: jointly, by channels alone, zeros alone, bits alone")
    accuracy: float | None = entry(
        "accuracy of its file on held-out training images", lower=0, upper=1, default=None
    )
    drop: float = entry("what its file loses there", unit="points")
    cost: Mapping[str, float] = entry("what it costs, by the kinds of the budget", factory=dict)
    kept: bool = entry("whether the network was made with it", default=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search(Record):
    """How a learner found the choice for each layer."""

    stage: str = entry("the learner that searched", default="")
    agent: str = entry("who proposed: dp, greedy, ddpg, tpe, cma-es, evolution, random …")
    quantity: str = entry(
        "what was chosen for each layer: the fraction of channels removed, bits, the fraction of "
        "weights made zero, or all three together (joint)",
        choices=("channels", "bits", "sparsity", "joint"),
        default="channels",
    )
    budget: str = entry("the budget that every trial kept", default="")
    rollouts: tuple[Rollout, ...] = entry("the trials, in order")
    winner: Candidate | None = entry("the best setting found; null when no trial succeeded")
    uniform: Candidate | None = entry(
        "the same choice everywhere, which the winner was compared with", default=None
    )
    kept: str | None = entry(
        "which of the two the network was made with",
        choices=("winner", "uniform"),
        default=None,
    )
    compared: tuple[Compared, ...] = entry(
        "the winner and what other ways reach at its bytes; empty where nothing else was tried",
        factory=tuple,
    )
    deflated: bool = entry(
        "whether the bytes that decided are those of the deflated file, as in an app package",
        default=False,
    )
    scales: Mapping[str, float] = entry(
        "what the tables' errors of channels, zeros and bits counted in the choice, each as often "
        "as the outputs of a network made in that way alone erred by; empty where nothing was "
        "scaled",
        lower=0,
        factory=dict,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure(Record):
    """A part of the measurement that failed after training; the others went on."""

    step: str = entry("which: control, export, evaluation, latency, counting, page …")
    reason: str = entry("why")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(Record):
    """A run: what it was told, what it did, what came out."""

    schema_version: int = entry(
        "version of this format", lower=SCHEMA_VERSION, upper=SCHEMA_VERSION, default=SCHEMA_VERSION
    )
    flowpress_version: str = entry("version that wrote it", factory=flowpress_version)
    created: str = entry("when, ISO 8601, UTC", factory=utc_now)
    command: tuple[str, ...] = entry("the command line; empty when called from Python", default=())
    learner: tuple[str, ...] = entry("the stages, in order")
    model_helper: str = entry("name or file of the ModelHelper")
    dataset: str = entry("name of the data set")
    seed: int = entry("seed of the run")
    config: Mapping[str, Scalar] = entry("value of every flag that applied", factory=dict)
    changed_flags: tuple[str, ...] = entry(
        "those of them whose value is not the default", default=()
    )
    versions: Mapping[str, str] = entry(
        "version of Python and of each library", factory=library_versions
    )
    machine: Machine = entry("where it ran", factory=this_machine)
    before: Network = entry("the network that the run began with")
    after: Network = entry("the network that it left")
    control: Network | None = entry(
        "the network before, trained for as long as the one after; null without --control",
        default=None,
    )
    versus_control: Estimate | None = entry(
        "top-1 of the network after less that of the control, sample by sample", default=None
    )
    seconds: Mapping[str, float] = entry(
        "duration of each stage: selection, fine_tuning, training, evaluation, export, total …",
        unit="s",
        lower=0,
        factory=dict,
    )
    files: tuple[File, ...] = entry(
        "the exported files of the network before and of the one after, by kind", default=()
    )
    classes: tuple[ClassChange, ...] = entry(
        "what changed class by class, where every sample has one", default=()
    )
    layers: tuple[Layer, ...] = entry("the layers with weights, in order", default=())
    training: tuple[TrainingPoint, ...] = entry("how training went", default=())
    capability: tuple[Capability, ...] = entry(
        "what can be done with each layer, and why not more", default=()
    )
    searches: tuple[Search, ...] = entry("the searches, in the order of the stages", default=())
    notes: tuple[str, ...] = entry("what else the run has to say", default=())
    failures: tuple[Failure, ...] = entry("what of all this could not be found out", default=())
    model: Any = dataclasses.field(default=None, compare=False, repr=False)
    """The compressed Keras model; in memory only."""

    def file(self, kind: str, network: str = "after") -> File | None:
        """Find a file.

        Args:
            kind: float32, int8 …
            network: which network's, "before" or "after".

        Returns:
            The file; None if that kind was not asked for.
        """
        found = (file for file in self.files if (file.kind, file.network) == (kind, network))
        return next(found, None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of files, each once, in order."""
        return tuple(dict.fromkeys(file.kind for file in self.files))

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            datetime.datetime.fromisoformat(self.created)
        except ValueError as error:
            raise ValueError(
                f"created must be an ISO 8601 time. Received: {self.created!r}."
            ) from error
