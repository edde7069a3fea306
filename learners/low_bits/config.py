"""Flags of the learners whose weights have few bits."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from learners.learner_config import LearnerConfig
from learners.search.config import RolloutConfig
from utils.errors import InputError
from utils.flags import flag, group
from utils.quantization.groups import Grouping

if TYPE_CHECKING:
    from learners.config import RunConfig

MAX_WEIGHT_BITS = 16
WHOLE_BITS = 32
EDGE_BITS = 8  # of the first and the last layer, where they are not treated as all others

_BUCKETS = ("{prefix}use_buckets", "buckets")
SEARCH = ("{prefix}enbl_rl_agent", "a search")
"""What flags of the search need."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitSearchConfig(RolloutConfig):
    """How the bits of each layer are searched."""

    AGENT: ClassVar[str] = "dp"  # few choices, whose errors add up well

    search: bool = flag(
        False,
        "Let an agent choose the bits of each layer, within equivalent_bits or --budget.",
        name="enbl_rl_agent",
        aliases=("{prefix}search",),
    )
    equivalent_bits: int = flag(
        4,
        "Bits per weight that a search may spend on the layers that it chooses for, on average.",
        lower=1,
        upper=MAX_WEIGHT_BITS,
        needs=SEARCH,
        rivals=("budget",),
    )
    w_bit_min: int = flag(
        2, "Fewest bits of a layer in a search.", lower=1, upper=MAX_WEIGHT_BITS, needs=SEARCH
    )
    w_bit_max: int = flag(
        8, "Most bits of a layer in a search.", lower=1, upper=MAX_WEIGHT_BITS, needs=SEARCH
    )
    enbl_random_layers: bool = flag(
        True,
        "An agent steps through the layers in an order that changes from roll-out to roll-out.",
        inert="the order is the network's: an agent's state says which layer is at hand.",
    )
    enbl_rl_global_tune: bool = flag(
        True,
        "Train the whole network, of the candidates that a search compares in the end, before they "
        "are compared.",
    )
    enbl_rl_layerwise_tune: bool = flag(
        False,
        "Tune layer after layer before a roll-out is scored.",
        inert="every roll-out is tuned layer by layer in closed form, from tables.",
    )
    tune_layerwise_steps: int = flag(
        100,
        "Steps of the tuning of one layer.",
        lower=0,
        inert="every roll-out is tuned layer by layer in closed form, from tables.",
    )
    tune_global_steps: int = flag(
        2000,
        "Steps of the tuning of all layers in a roll-out.",
        lower=0,
        inert="roll-outs are scored before training; the winner and uniform bits are trained.",
    )
    tune_disp_steps: int = flag(
        300, "Steps between two lines.", lower=1, inert="a progress line shows every roll-out."
    )
    tune_save_path: str = flag(
        "./rl_tune_models/model.keras",
        "Where roll-outs were saved.",
        path=True,
        inert="roll-outs are kept beside the artefact.",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LowBitConfig(LearnerConfig):
    """Base of their configs: bits, buckets, epochs, paths, the search for bits.

    A subclass sets PREFIX, MOST_BITS and, where its documents say others, defaults.
    """

    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_quant_model_path"
    MOST_BITS: ClassVar[int] = MAX_WEIGHT_BITS  # of a weight that is quantized

    save_path: str = flag(
        "./models_quant/model.keras", "Resumable state of the learner.", path=True
    )
    save_quant_model_path: str = flag(
        "./quant_models/model.keras",
        "The artefact, its files for devices and report beside it.",
        path=True,
        aliases=("{prefix}save_quant_mode_path",),
    )
    weight_bits: int = flag(
        4,
        "Bits of each weight.",
        unit="bits",
        lower=1,
        upper=MAX_WEIGHT_BITS,
        rivals=("budget", "setting"),
    )
    activation_bits: int = flag(
        WHOLE_BITS,
        "Bits of the activations that layers with kernels read, 1 to 16; 32 leaves them in float.",
        unit="bits",
        lower=1,
        upper=WHOLE_BITS,
        hint="Give 1 to 16, or 32 for none.",
    )
    use_buckets: bool = flag(
        False, "A grid or codebook for each bucket of weights, instead of one for the whole layer."
    )
    bucket_type: str = flag(
        "channel",
        "channel: the weights of an output channel are a bucket. split: bucket_size weights that "
        "follow each other.",
        choices=("split", "channel"),
        needs=_BUCKETS,
    )
    bucket_size: int = flag(
        256,
        "Weights of a bucket of bucket_type=split.",
        unit="weights",
        lower=2,
        upper=1_000_000,
        needs=_BUCKETS,
    )
    quantize_all_layers: bool = flag(
        False,
        f"Treat the first and the last layer as all others; else they get {EDGE_BITS} bits.",
    )
    quant_epochs: int = flag(
        60,
        "Epochs of training with quantized weights, where --nb_epochs gives none; 0 for none.",
        unit="epochs",
        lower=0,
        upper=1_000_000,
        aliases=("{prefix}quant_epoch",),
    )
    skip_op_names: str | None = flag(
        None, "Layers whose name contains one of these comma-separated parts are left alone."
    )
    nb_smpls: int = flag(
        5000, "Training images that the statistics are taken from.", lower=1, upper=1_000_000
    )
    nb_crops_per_smpl: int = flag(
        10, "Random output positions taken from each image and layer.", lower=1, upper=1_000
    )
    learn_ranges: bool = flag(
        True,
        "The ranges of activations are trained with the network (LSQ); else they stay as observed.",
    )
    searching: BitSearchConfig = group(BitSearchConfig)

    def __post_init__(self) -> None:
        """Refuse activation bits between those that there are, and a range without a bit in it."""
        if MAX_WEIGHT_BITS < self.activation_bits < WHOLE_BITS:
            raise InputError(
                f"`{self.PREFIX}activation_bits` must be in [1, {MAX_WEIGHT_BITS}], or "
                f"{WHOLE_BITS} for none. Received: {self.activation_bits}."
            )
        search = self.searching
        if search.w_bit_min > search.w_bit_max:
            raise InputError(
                f"`{self.PREFIX}w_bit_min` must not exceed `{self.PREFIX}w_bit_max`. Received: "
                f"{search.w_bit_min} and {search.w_bit_max}."
            )

    def check_run(self, run: "RunConfig", *, counts_given: bool, num_epochs: float | None) -> None:
        """Refuse bits, for a search without another budget, beyond those that it chooses from."""
        search = self.searching
        inside = search.w_bit_min <= search.equivalent_bits <= search.w_bit_max
        if search.search and run.budget is None and not inside:
            raise InputError(
                f"`{self.PREFIX}equivalent_bits` must lie between `{self.PREFIX}w_bit_min` "
                f"({search.w_bit_min}) and `{self.PREFIX}w_bit_max` ({search.w_bit_max}). "
                f"Received: {search.equivalent_bits}."
            )

    @property
    def own_epochs(self) -> float | None:
        """Those of the learner's own flag."""
        return self.quant_epochs

    @property
    def student_bits(self) -> int:
        """Bits of each weight; in a search their mean."""
        return self.searching.equivalent_bits if self.wants_search() else self.weight_bits

    @property
    def quantizes_activations(self) -> bool:
        """Whether activations are quantized."""
        return self.activation_bits < WHOLE_BITS

    @property
    def search_flag(self) -> str:
        """The documented switch."""
        return f"--{self.PREFIX}enbl_rl_agent"

    def own_budget(self) -> str | None:
        """That of the search: `equivalent_bits` of the 32 that a weight has."""
        if not self.wants_search():
            return None
        return f"bits:{self.searching.equivalent_bits / WHOLE_BITS!r}"

    def grouping(self, axes: tuple[int, ...] = (-1,)) -> Grouping:
        """Say which weights share a grid or codebook.

        Args:
            axes: of a kernel, counted from the back, that tell its output channels apart.
        """
        if not self.use_buckets:
            return Grouping("tensor")
        if self.bucket_type == "split":
            return Grouping("split", size=self.bucket_size)
        return Grouping("channel", axes=axes)
