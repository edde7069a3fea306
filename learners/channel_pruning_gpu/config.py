"""Flags of the learner `chn-pruned-gpu`."""

import dataclasses
from typing import ClassVar

from learners.channels.config import LatencyConfig
from learners.channels.ratio_list import RatioList, read_ratios
from learners.learner_config import Choice, LearnerConfig
from utils.errors import InputError
from utils.flags import flag, group

_TYPE = "cpg_prune_ratio_type"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelPrunedGpuConfig(LearnerConfig):
    """How many channels of each layer go, and how the kernels are optimized."""

    PREFIX: ClassVar[str] = "cpg_"
    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_path_eval"

    save_path: str = flag("./models_cpg/model.keras", "Resumable state of the learner.", path=True)
    save_path_eval: str = flag(
        "./models_cpg_eval/model.keras",
        "The artefact, its .tflite files and report beside it.",
        path=True,
    )
    prune_ratio_type: str = flag(
        "uniform",
        "uniform: cpg_prune_ratio of every layer goes. list: what cpg_prune_ratio_file says.",
        choices=("uniform", "list"),
    )
    prune_ratio: float = flag(
        0.5,
        "Fraction of the input channels removed from each layer that is pruned.",
        lower=0.0,
        upper=1.0,
        upper_open=True,
        only_with=(_TYPE, "uniform"),
        rivals=("budget", "setting"),
    )
    skip_ht_layers: bool = flag(
        True, "Leave the input channels of the first (head) and the last (tail) layer alone."
    )
    prune_ratio_file: str | None = flag(
        None,
        "Fraction of each layer's input channels that is removed, separated by commas.",
        path=True,
        only_with=(_TYPE, "list"),
    )
    lrn_rate_pgd_init: float = flag(
        1e-10, "Proximal gradient descent: its first step.", lower=0.0, lower_open=True
    )
    lrn_rate_pgd_incr: float = flag(
        1.4, "Factor of its step where the objective falls.", lower=1.0, lower_open=True
    )
    lrn_rate_pgd_decr: float = flag(
        0.7,
        "Factor of its step where the objective rises.",
        lower=0.0,
        lower_open=True,
        upper=1.0,
        upper_open=True,
    )
    lrn_rate_adam: float = flag(
        1e-2,
        "Adam's learning rate for the kernels of the channels that stay.",
        lower=0.0,
        lower_open=True,
    )
    nb_iters_layer: int = flag(
        1000,
        "Iterations of proximal gradient descent for each layer, then of Adam.",
        lower=1,
        upper=1_000_000,
    )
    nb_smpls: int = flag(
        5000, "Training images that the statistics are taken from.", lower=1, upper=1_000_000
    )
    nb_crops_per_smpl: int = flag(
        10, "Random output positions taken from each image and layer.", lower=1, upper=1_000
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
    skip_op_names: str | None = flag(
        None, "Layers whose name contains one of these comma-separated parts are left alone."
    )
    channel_search: LatencyConfig = group(LatencyConfig)

    @property
    def skip_frst_layer(self) -> bool:
        """Leave the head's input channels alone."""
        return self.skip_ht_layers

    @property
    def skip_last_layer(self) -> bool:
        """Leave the tail's input channels alone."""
        return self.skip_ht_layers

    def takes_setting(self) -> bool:
        """Whether `--setting` can say what stays of each layer."""
        return True

    def ratio_list(self) -> RatioList | None:
        """Read what the list says, None without one."""
        if self.prune_ratio_type != "list":
            return None
        if self.prune_ratio_file is None:
            raise InputError(
                f"--{_TYPE}=list takes the ratios of `cpg_prune_ratio_file`, which was left out. "
                "Give the file, or one ratio for all layers by --cpg_prune_ratio."
            )
        return read_ratios(self.prune_ratio_file, "cpg_prune_ratio_file", removed=True)

    def choice(self) -> Choice | None:
        """A list says what stays of each layer."""
        return Choice(f"{_TYPE}=list", "a list") if self.prune_ratio_type == "list" else None

    def check_files(self) -> None:
        """Refuse a list that cannot be read, or has entries that are no ratios."""
        self.ratio_list()
