"""The learners: one literal table, flag name -> where it lives; loaded only when chosen.

A new learner is a folder `learners/<method>/` with `config.py` (a frozen dataclass, see
`utils/flags.py`) and `learner.py`, one row in `LEARNERS` and a page in `docs/`; the contract tests
take it up from the table.
"""

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any, Literal

from utils.errors import InputError
from utils.flags import nearest

if TYPE_CHECKING:
    from learners.learner_config import LearnerConfig


@dataclasses.dataclass(frozen=True)
class Entry:
    """One learner of the table, with the facts that the pipeline goes by.

    Attributes:
        learner: where its class lives, as `module:Class`.
        config: where its config class lives, a subclass of `LearnerConfig`.
        summary: for `--help`.
        starts: what a run that begins with it starts from: fresh weights, or a trained network,
            without which it is refused.
        ends_before: whether its result is another network than the one it was given. The first
            stage of a run for which that is so marks the "before" of the report, and the network
            before it teaches it and all later ones (distillation).
        quantity: what it chooses for each layer: `channels`, `sparsity`, `bits`, or all of them,
            `joint`; None for nothing.
        budgets: the kinds of budget that it can meet.
        deploys: whether it leaves a network with the ranges of its files in it.
    """

    learner: str
    config: str
    summary: str
    _: dataclasses.KW_ONLY
    starts: Literal["fresh", "trained"]
    ends_before: bool
    quantity: Literal["channels", "sparsity", "bits", "joint"] | None = None
    budgets: tuple[str, ...] = ()
    deploys: bool = False


LEARNERS: dict[str, Entry] = {
    "auto": Entry(
        "learners.auto.learner:AutoLearner",
        "learners.auto.config:AutoConfig",
        "chooses channels, zeros and bits together: the smallest file within --max_drop",
        starts="trained",
        ends_before=True,
        quantity="joint",
        budgets=("flops", "params", "bytes", "cycles", "sram", "latency"),
    ),
    "full-prec": Entry(
        "learners.full_precision.learner:FullPrecLearner",
        "learners.full_precision.config:FullPrecConfig",
        "trains the network as it is",
        starts="fresh",
        ends_before=False,
    ),
    "distillation": Entry(
        "learners.distillation.learner:DistillationLearner",
        "learners.distillation.config:DistillationLearnerConfig",
        "trains the network from the outputs of one or several teachers",
        starts="fresh",
        ends_before=False,
    ),
    "channel": Entry(
        "learners.channel_pruning.learner:ChannelPrunedLearner",
        "learners.channel_pruning.config:ChannelPrunedConfig",
        "cuts channels by one ratio, a list or a search, tuning between groups of layers",
        starts="trained",
        ends_before=True,
        quantity="channels",
        budgets=("flops", "params", "bytes", "cycles", "sram", "latency"),
    ),
    "chn-pruned-rmt": Entry(
        "learners.channel_pruning_rmt.learner:ChannelPrunedRmtLearner",
        "learners.channel_pruning_rmt.config:ChannelPrunedRmtConfig",
        "cuts channels by reconstruction and least squares, then fine-tunes",
        starts="trained",
        ends_before=True,
        quantity="channels",
        budgets=("flops", "params", "bytes", "cycles", "sram", "latency"),
    ),
    "chn-pruned-gpu": Entry(
        "learners.channel_pruning_gpu.learner:ChannelPrunedGpuLearner",
        "learners.channel_pruning_gpu.config:ChannelPrunedGpuConfig",
        "cuts channels by proximal gradient descent, layer by layer, then fine-tunes",
        starts="trained",
        ends_before=True,
        quantity="channels",
        budgets=("flops", "params", "bytes", "cycles", "sram", "latency"),
    ),
    "dis-chn-pruned": Entry(
        "learners.discrimination_aware_pruning.learner:DisChnPrunedLearner",
        "learners.discrimination_aware_pruning.config:DisChnPrunedConfig",
        "cuts the channels that tell least of the classes, by losses inside the network",
        starts="trained",
        ends_before=True,
        quantity="channels",
        budgets=("flops", "params", "bytes", "cycles", "sram", "latency"),
    ),
    "filter-pruned": Entry(
        "learners.filter_pruning.learner:FilterPrunedLearner",
        "learners.filter_pruning.config:FilterPrunedConfig",
        "cuts whole filters by a criterion, in one or several steps, and trains between them",
        starts="trained",
        ends_before=True,
        quantity="channels",
        budgets=("flops", "params", "bytes", "cycles", "sram", "latency"),
    ),
    "soft-pruned": Entry(
        "learners.soft_pruning.learner:SoftPrunedLearner",
        "learners.soft_pruning.config:SoftPrunedConfig",
        "sets redundant filters to zero while they go on learning, cuts those that stay zero",
        starts="trained",
        ends_before=True,
    ),
    "weight-sparse": Entry(
        "learners.weight_sparsification.learner:WeightSparseLearner",
        "learners.weight_sparsification.config:WeightSparseConfig",
        "sets single weights, N of M or tiles to zero, in closed form or while it trains",
        starts="trained",
        ends_before=True,
        quantity="sparsity",
        budgets=("nonzeros",),
    ),
    "uniform": Entry(
        "learners.uniform_quantization.learner:UniformQuantLearner",
        "learners.uniform_quantization.config:UniformQuantConfig",
        "rounds weights, and activations where asked, to grids of equal steps, then trains them",
        starts="trained",
        ends_before=True,
        quantity="bits",
        budgets=("bits", "bytes"),
    ),
    "uniform-tf": Entry(
        "learners.uniform_quantization_tf.learner:UniformQuantTFLearner",
        "learners.uniform_quantization_tf.config:UniformQuantTFConfig",
        "trains with weights and activations as integer kernels have them: all-int8 files",
        starts="trained",
        ends_before=True,
        quantity="bits",
        budgets=("bits",),
        deploys=True,
    ),
    "non-uniform": Entry(
        "learners.non_uniform_quantization.learner:NonUniformQuantLearner",
        "learners.non_uniform_quantization.config:NonUniformQuantConfig",
        "rounds weights to codebooks of few values, then trains weights, codebooks, or both",
        starts="trained",
        ends_before=True,
        quantity="bits",
        budgets=("bits", "bytes"),
    ),
}

COMPRESSOR = "chn-pruned-rmt"
"""The learner where a network is to be compressed and none is named."""

ALIASES = {
    "channel-pruned": "channel",
    "channel-pruned-rmt": "chn-pruned-rmt",
    "channel-pruned-gpu": "chn-pruned-gpu",
    "uniform-quant": "uniform",
    "uniform-quant-tf": "uniform-tf",
    "non-uniform-quant": "non-uniform",
}


def canonical_name(name: str) -> str:
    """Give the table's name for a learner, old and new spellings alike.

    Raises:
        InputError: for an unknown name; lists the valid ones.
    """
    name = ALIASES.get(name, name)
    if name not in LEARNERS:
        valid = nearest(name, [*LEARNERS, *ALIASES])
        raise InputError(f"Unknown learner {name!r} in --learner. {valid}")
    return name


def canonical_names(text: str) -> list[str]:
    """Give the table's names of a list of learners, separated by commas.

    Raises:
        InputError: for an unknown name, or none at all between two commas.

    Example:
        >>> canonical_names("full-prec, channel-pruned-rmt")
        ['full-prec', 'chn-pruned-rmt']
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) > 1 and not all(names):
        raise InputError(
            f"Unknown learner '' in --learner: {text!r} has an empty place. Write single commas "
            f"between the learners. Valid: {', '.join(sorted(LEARNERS))}."
        )
    return [canonical_name(name) for name in names]


def load_class(reference: str) -> Any:
    """Import `module:Class`."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def config_class(name: str) -> "type[LearnerConfig]":
    """Give a learner's config class without importing the learner (or TensorFlow)."""
    return load_class(LEARNERS[canonical_name(name)].config)


def learner_class(name: str) -> type:
    """Give a learner's class."""
    return load_class(LEARNERS[canonical_name(name)].learner)
