"""Flags of the learner `dis-chn-pruned`."""

import dataclasses
from typing import ClassVar, Self

from learners.channels.ratio_list import RatioList
from learners.discrimination_aware_pruning.iterations import (
    BLOCK_EPOCHS,
    LAYER_EPOCHS,
    LEAST_ITERATIONS,
)
from learners.learner_config import LearnerConfig
from utils.flags import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class DisChnPrunedConfig(LearnerConfig):
    """Where losses are added, how long is trained, and which channels may go."""

    PREFIX: ClassVar[str] = "dcp_"
    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_path_eval"

    save_path: str = flag("./models_dcp/model.keras", "Resumable state of the learner.", path=True)
    save_path_eval: str = flag(
        "./models_dcp_eval/model.keras",
        "The artefact, its .tflite files and report beside it.",
        path=True,
    )
    prune_ratio: float = flag(
        0.5,
        "Fraction of the input channels removed from each layer that is pruned.",
        lower=0.0,
        upper=1.0,
        upper_open=True,
        hint="A ratio of 1 would empty every layer.",
        rivals=("budget", "setting"),
    )
    nb_stages: int = flag(
        3,
        "Additional losses inside the network, which cut it into one stage more. 0: the network's "
        "own loss alone, which every task has.",
        lower=0,
        upper=100,
    )
    lrn_rate_adam: float = flag(
        1e-3,
        "Adam's highest learning rate in each stage's and each layer's training.",
        lower=0.0,
        lower_open=True,
    )
    nb_iters_block: int = flag(
        10000,
        "Iterations of the network's fine-tuning in each stage; see scale_iters.",
        lower=1,
        upper=1_000_000,
    )
    nb_iters_layer: int = flag(
        500,
        "Iterations for each layer that is pruned: half of them shared out over the greedy choice, "
        "half for layer-wise fine-tuning; see scale_iters.",
        lower=1,
        upper=1_000_000,
    )
    scale_iters: bool = flag(
        True,
        f"Scale iterations to the data set: at most {BLOCK_EPOCHS:g} epochs for each stage, "
        f"{LAYER_EPOCHS:g} for each layer, but {LEAST_ITERATIONS} where that is less. False takes "
        "the counts as they are given.",
    )
    loss_w_discr: float = flag(
        1.0,
        "Weight (lambda) of the stage's discrimination-aware loss beside the reconstruction error.",
        lower=0.0,
    )
    nb_smpls: int = flag(
        2000,
        "Training images that channels are chosen and kernels tuned with.",
        lower=1,
        upper=1_000_000,
    )
    skip_frst_layer: bool = flag(True, "Leave the first layer's input channels alone.")
    skip_last_layer: bool = flag(False, "Leave the last layer's input channels alone.")
    skip_op_names: str | None = flag(
        None, "Layers whose name contains one of these comma-separated parts are left alone."
    )
    residual: str = flag(
        "inner",
        "Residual streams: inner leaves them whole; joint makes one choice for all their readers, "
        "and the stream gets narrower.",
        choices=("inner", "joint"),
    )
    round_to: int = flag(
        1,
        "Keep multiples of this many channels where the ratio allows.",
        unit="channels",
        lower=1,
        upper=4_096,
    )
    latency_step: int = flag(
        16,
        "With a latency budget counts are multiples of this many channels; of a quarter of the "
        "group where it is smaller than four steps.",
        unit="channels",
        lower=1,
        upper=4_096,
    )

    @property
    def channel_search(self) -> Self:
        """What budgets read of a config's flags about counts (`learners.channels.flags`)."""
        return self

    def ratio_list(self) -> RatioList | None:
        """One ratio serves all layers."""
        return None

    def takes_setting(self) -> bool:
        """Counts of channels can come from the search of another learner."""
        return True
