"""Flags of the learner `chn-pruned-rmt`."""

import dataclasses
import pathlib
from typing import ClassVar

from learners.channels.config import ChannelSearchConfig
from learners.channels.ratio_list import RatioList
from learners.learner_config import Choice, LearnerConfig
from learners.search.config import RolloutConfig
from utils.errors import InputError
from utils.flags import flag, group


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelPrunedRmtConfig(LearnerConfig):
    """How channels are chosen and kernels refitted."""

    PREFIX: ClassVar[str] = "cpr_"
    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_path_eval"

    save_path: str = flag("./models_cpr/model.keras", "Resumable state of the learner.", path=True)
    save_path_eval: str = flag(
        "./models_cpr_eval/model.keras",
        "The artefact, its .tflite files and report beside it.",
        path=True,
    )
    save_path_ws: str = flag(
        "./models_cpr_ws/model.keras",
        "A channel-pruned model to start from (cpr_warm_start).",
        path=True,
    )
    prune_ratio: float = flag(
        0.5,
        "Fraction of the input channels removed from each layer that is pruned.",
        lower=0.0,
        upper=1.0,
        upper_open=True,
        hint="1 was legal once and left no network: choose a ratio below 1.",
        rivals=("budget", "setting"),
    )
    skip_frst_layer: bool = flag(True, "Leave the first layer's input channels alone.")
    skip_last_layer: bool = flag(False, "Leave the last layer's input channels alone.")
    skip_op_names: str | None = flag(
        None, "Layers whose name contains one of these comma-separated parts are left alone."
    )
    nb_smpls: int = flag(
        5000, "Training images that the statistics are taken from.", lower=1, upper=1_000_000
    )
    nb_crops_per_smpl: int = flag(
        10, "Random output positions taken from each image and layer.", lower=1, upper=1_000
    )
    criterion: str = flag(
        "backward",
        "How channels are chosen: lasso as in the paper; backward elimination, which asks at each "
        "step whose loss the other channels make up for best; or l1, the largest kernel slices.",
        choices=("lasso", "backward", "l1"),
    )
    refit_all: bool = flag(
        True, "Refit every layer behind a cut by least squares, not only those that lose inputs."
    )
    compensate: bool = flag(
        True, "Layers at the end of a residual branch make up for the error of their shortcut."
    )
    ista_lrn_rate: float = flag(
        1e-2,
        "Step of ISTA.",
        lower=0.0,
        lower_open=True,
        inert="the step is one over the largest eigenvalue of the Gram matrix.",
    )
    ista_nb_iters: int = flag(
        100, "Iterations of ISTA for each lambda of lasso.", lower=1, upper=1_000_000
    )
    lstsq_lrn_rate: float = flag(
        1e-3,
        "Adam's learning rate for least squares.",
        lower=0.0,
        lower_open=True,
        inert="least squares is solved in closed form (Cholesky).",
    )
    lstsq_nb_iters: int = flag(
        100,
        "Adam's iterations for least squares.",
        lower=1,
        inert="least squares is solved in closed form (Cholesky).",
    )
    warm_start: bool = flag(
        False, "Take the channels of the pruned model at cpr_save_path_ws; no selection."
    )
    residual: str = flag(
        "inner",
        "Residual streams: inner leaves them whole; joint makes one choice for all their readers, "
        "and the stream gets narrower; gather lets each reader choose, behind a gather that costs "
        "time.",
        choices=("inner", "joint", "gather"),
    )
    round_to: int = flag(
        1,
        "Keep multiples of this many channels where the ratio allows.",
        unit="channels",
        lower=1,
        upper=4_096,
    )
    searching: RolloutConfig = group(RolloutConfig)
    channel_search: ChannelSearchConfig = group(ChannelSearchConfig)

    def ratio_list(self) -> RatioList | None:
        """One ratio serves all layers."""
        return None

    def choice(self) -> Choice | None:
        """A warm start takes the channels as they were chosen."""
        return Choice("cpr_warm_start", "a warm start") if self.warm_start else None

    def check_files(self) -> None:
        """Refuse a warm start from a file that is not there."""
        if self.warm_start and not pathlib.Path(self.save_path_ws).is_file():
            raise InputError(
                f"`cpr_warm_start` takes the pruned network at `cpr_save_path_ws`: there is no "
                f"file {self.save_path_ws!r}. Leave --cpr_warm_start out to choose channels anew."
            )
