"""Flags of the learner `uniform-tf`."""

import dataclasses
from typing import ClassVar

from learners.learner_config import LearnerConfig
from utils.flags import flag

WHOLE_BITS = 8  # of weights and activations that integer kernels compute with


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
        lower=2,
        upper=WHOLE_BITS,
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
    nb_smpls: int = flag(1000, "Training images that ranges and moments are taken from.", lower=1)
    nb_crops_per_smpl: int = flag(
        10, "Random output positions taken from each image and layer.", lower=1
    )

    @property
    def student_bits(self) -> int:
        """Bits of each weight."""
        return self.weight_bits

    @property
    def file_weights(self) -> str:
        """Number format of the weights in the int8 file."""
        return "int4" if self.weight_bits <= 4 else "int8"
