"""Flags of the learner `non-uniform`."""

import dataclasses
from typing import ClassVar

from learners.low_bits.config import SEARCH, BitSearchConfig, LowBitConfig
from utils.export.exporters import decoded_files
from utils.flags import flag, group
from utils.quantization.codebook import MAX_BITS, MODES, STYLES


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodebookSearchConfig(BitSearchConfig):
    """The search for bits, as far as there are codebooks."""

    equivalent_bits: int = flag(
        4,
        "Bits per weight that a search may spend on the layers that it chooses for, on average.",
        lower=1,
        upper=MAX_BITS,
        needs=SEARCH,
        rivals=("budget",),
    )
    w_bit_min: int = flag(
        2, "Fewest bits of a layer in a search.", lower=1, upper=MAX_BITS, needs=SEARCH
    )
    w_bit_max: int = flag(
        8, "Most bits of a layer in a search.", lower=1, upper=MAX_BITS, needs=SEARCH
    )
    tune_global_steps: int = flag(
        2101,
        "Steps of the tuning of all layers in a roll-out.",
        lower=0,
        inert="roll-outs are scored before training; the winner and uniform bits are trained.",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NonUniformQuantConfig(LowBitConfig):
    """Weights that take few values, wherever these lie."""

    PREFIX: ClassVar[str] = "nuql_"
    MOST_BITS: ClassVar[int] = MAX_BITS

    save_path: str = flag("./models_nuql/model.keras", "Resumable state of the learner.", path=True)
    save_quant_model_path: str = flag(
        "./nuql_quant_models/model.keras",
        "The artefact, its files for devices and report beside it.",
        path=True,
        aliases=("{prefix}save_quant_mode_path",),
    )
    weight_bits: int = flag(
        4,
        "Bits of each weight: a codebook has 2^bits values.",
        unit="bits",
        lower=1,
        upper=MAX_BITS,
        rivals=("budget", "setting"),
    )
    init_style: str = flag(
        "kmeans",
        "Where codebooks begin. kmeans: at the least squared error, each weight counted by the "
        "energy of its input. quantile: as many weights at each value. uniform: equal steps.",
        choices=tuple(STYLES),
    )
    opt_mode: str = flag(
        "weights",
        "What training changes. weights: which value each weight takes. clusters: the values of "
        "the codebooks, while each weight stays with its own. both.",
        choices=MODES,
    )
    rounding: str = flag(
        "obq",
        "Starting values. obq: layer after layer by second moments of training images, each weight "
        "making up for the rounding of others, the codebook moved to the least error by turns. "
        "nearest: the nearest values of codebooks that fit the weights.",
        choices=("obq", "nearest"),
    )
    searching: CodebookSearchConfig = group(CodebookSearchConfig)

    def files_for(self, target: str | None) -> tuple[str, ...]:
        """Add the file whose weights are decoded from tables, where the device runs it."""
        return decoded_files(target)
