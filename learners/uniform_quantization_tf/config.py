"""Flags of the learner `uniform-tf`."""

import dataclasses
from typing import ClassVar

from learners.learner_config import LearnerConfig
from learners.low_bits.config import SEARCH
from learners.low_bits.config import WHOLE_BITS as FLOAT_BITS
from learners.search.config import RolloutConfig
from utils.flags import flag, group

WHOLE_BITS = 8  # of weights and activations that integer kernels compute with
LEAST_BITS = 2
HELD_BITS = (4, WHOLE_BITS)  # of weights in files: what a search chooses from


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntegerSearchConfig(RolloutConfig):
    """How each layer gets 4 or 8 bits by a search."""

    AGENT: ClassVar[str] = "dp"  # few choices, whose errors add up well

    search: bool = flag(
        False,
        "Let an agent choose 4 or 8 bits for each layer, within equivalent_bits or --budget.",
        name="enbl_rl_agent",
        aliases=("{prefix}search",),
    )
    equivalent_bits: float = flag(
        6.0,
        "Bits per weight that a search may spend on the layers that it chooses for, on average.",
        unit="bits",
        lower=float(HELD_BITS[0]),
        upper=float(WHOLE_BITS),
        needs=SEARCH,
        rivals=("budget",),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniformQuantTFConfig(LearnerConfig):
    """Quantization-aware training that ends in an all-int8 file."""

    PREFIX: ClassVar[str] = "uqtf_"
    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_path_eval"

    save_path: str = flag("./models_uqtf/model.keras", "Resumable state of the learner.", path=True)
    save_path_eval: str = flag(
        "./models_uqtf_eval/model.keras",
        "The artefact, its files for devices and report beside it.",
        path=True,
    )
    weight_bits: int = flag(
        WHOLE_BITS,
        "Bits of each weight. Files hold 8, or 4; 5 to 7 are held as 8, 2 and 3 as 4.",
        unit="bits",
        lower=LEAST_BITS,
        upper=WHOLE_BITS,
        rivals=("budget", "setting"),
    )
    activation_bits: int = flag(
        WHOLE_BITS,
        "Bits of each activation: those that int8 kernels compute with.",
        unit="bits",
        lower=WHOLE_BITS,
        upper=WHOLE_BITS,
        hint="Other numbers than 8 are the learner uniform's, --uql_activation_bits.",
    )
    quant_delay: int = flag(
        0,
        "Steps of training before anything is quantized; ranges are taken after them.",
        unit="steps",
        lower=0,
    )
    freeze_bn_delay: int | None = flag(
        None,
        "Steps after which batch norm is folded into the kernels and only these are trained; not "
        "before quant_delay. None: it is folded at the end.",
        unit="steps",
        lower=0,
    )
    lrn_rate_dcy: float = flag(
        1e-2,
        "The initial learning rate is this part of --lrn_rate_init; it falls to 0 along half a "
        "cosine.",
        lower=0.0,
    )
    enbl_manual_quant: bool = flag(
        False,
        "Insert quantizers by hand where the automatic ones are missing.",
        inert="quantizers stand wherever the table of ops says that int8 needs them.",
    )
    range_update: str = flag(
        "moving_average",
        "What training does to the ranges of activations. moving_average: the ends of each batch. "
        "learned: gradients. none: they stay as calibrated.",
        choices=("moving_average", "learned", "none"),
    )
    calibration: str = flag(
        "mse",
        "How ranges of activations begin, on training images.",
        choices=("minmax", "moving", "percentile", "kl", "mse"),
    )
    rounding: str = flag(
        "obq",
        "How weights begin. obq: layer after layer by second moments of training images, means of "
        "outputs corrected. nearest: at the nearest points of their grids.",
        choices=("obq", "nearest"),
    )
    quantize_all_layers: bool = flag(
        False,
        "Give the first and the last layer as many bits as all others; else they have "
        f"{WHOLE_BITS}.",
    )
    allow_float: bool = flag(
        False, "Leave operators without an int8 kernel in float instead of refusing the network."
    )
    nb_smpls: int = flag(
        1000, "Training images that ranges and moments are taken from.", lower=1, upper=1_000_000
    )
    nb_crops_per_smpl: int = flag(
        10, "Random output positions taken from each image and layer.", lower=1, upper=1_000
    )
    searching: IntegerSearchConfig = group(IntegerSearchConfig)

    @property
    def student_bits(self) -> int:
        """Bits of each weight; in a search their mean."""
        return round(self.searching.equivalent_bits) if self.wants_search() else self.weight_bits

    @property
    def file_weights(self) -> str:
        """Number format of the weights in the int8 file."""
        return "int4" if self.weight_bits <= HELD_BITS[0] or self.wants_search() else "int8"

    @property
    def search_flag(self) -> str:
        """The documented switch."""
        return f"--{self.PREFIX}enbl_rl_agent"

    def own_budget(self) -> str | None:
        """That of the search: `equivalent_bits` of the 32 that a weight has."""
        if not self.wants_search():
            return None
        return f"bits:{self.searching.equivalent_bits / FLOAT_BITS!r}"
