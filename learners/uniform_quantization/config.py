"""Flags of the learner `uniform`."""

import dataclasses
from typing import ClassVar

from learners.low_bits.config import LowBitConfig
from utils.flags import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniformQuantConfig(LowBitConfig):
    """Weights (and activations) on grids of equal steps."""

    PREFIX: ClassVar[str] = "uql_"

    save_path: str = flag("./models_uql/model.keras", "Resumable state of the learner.", path=True)
    save_quant_model_path: str = flag(
        "./uql_quant_models/uql_quant_model.keras",
        "The artefact, its files for devices and report beside it.",
        path=True,
        aliases=("{prefix}save_quant_mode_path",),
    )
    rounding: str = flag(
        "obq",
        "Starting values. obq: layer after layer by second moments of training images, each weight "
        "making up for the rounding of others, ranges by least squared error, means of outputs "
        "corrected. nearest: the nearest points of grids that fit the weights.",
        choices=("obq", "nearest"),
    )
    grid: str = flag(
        "affine",
        "affine: each grid has the zero point that fits its weights best. symmetric: half of the "
        "steps below zero, half above.",
        choices=("affine", "symmetric"),
    )
