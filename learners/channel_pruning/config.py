"""Flags of the learner `channel`."""

import dataclasses
from typing import ClassVar

from learners.channels.config import ChannelSearchConfig
from learners.channels.ratio_list import RatioList, read_ratios
from learners.learner_config import Choice, LearnerConfig
from learners.search.config import RolloutConfig
from utils.errors import InputError
from utils.flags import flag, group

_OPTION = "cp_prune_option"
ALL_LAYERS = 1000  # of `list_group`: more than networks have


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoConfig(RolloutConfig):
    """The flags of a search but its switch: `cp_prune_option` is that."""

    search: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelPrunedConfig(LearnerConfig):
    """How much of each layer stays, how its channels are chosen, what is tuned in between."""

    PREFIX: ClassVar[str] = "cp_"
    STATE_FIELD: ClassVar[str | None] = "best_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "channel_pruned_path"
    MULTIPLE_FIELD: ClassVar[str] = "multiple"
    skip_frst_layer: ClassVar[bool] = True
    skip_last_layer: ClassVar[bool] = False

    prune_option: str = flag(
        "auto",
        "How much of each layer stays. uniform: cp_uniform_preserve_ratio of every layer. list: "
        "what cp_prune_list_file says. auto: an agent searches, within cp_preserve_ratio or "
        "--budget.",
        choices=("uniform", "list", "auto"),
    )
    prune_list_file: str = flag(
        "ratio.list",
        "Fraction of each layer's channels that stays, separated by commas.",
        path=True,
        only_with=(_OPTION, "list"),
    )
    channel_pruned_path: str = flag(
        "./models/pruned_model.keras",
        "The artefact, its .tflite files and report beside it.",
        path=True,
    )
    best_path: str = flag("./models/best_model.keras", "Resumable state of the learner.", path=True)
    original_path: str = flag(
        "./models/original_model.keras",
        "A copy of the network before pruning.",
        path=True,
        inert="it is read from --save_path or --pretrained_path, and the report keeps a copy as "
        "model_before.keras beside the artefact.",
    )
    preserve_ratio: float = flag(
        0.5,
        "Fraction of the multiply-adds that stays: --budget=flops of cp_prune_option=auto.",
        lower=0.0,
        lower_open=True,
        upper=1.0,
        only_with=(_OPTION, "auto"),
        rivals=("budget",),
    )
    uniform_preserve_ratio: float = flag(
        0.6,
        "Fraction of the channels of each layer that stays.",
        lower=0.0,
        lower_open=True,
        upper=1.0,
        only_with=(_OPTION, "uniform"),
        rivals=("budget", "setting"),
    )
    lrn_rate_ft: float = flag(
        1e-4,
        "Initial learning rate of the tuning between groups; the last is that of --lrn_rate_ft.",
        lower=0.0,
        lower_open=True,
    )
    nb_iters_ft_ratio: float = flag(
        0.2,
        "Steps of the tuning after each group, as a fraction of those of --nb_epochs.",
        lower=0.0,
        upper=1.0,
    )
    finetune: bool = flag(
        False, "Group tuning: fine-tune the whole network after each cp_list_group layers."
    )
    retrain: bool = flag(
        False,
        "Group tuning: train it instead on the network's own schedule, for all of --nb_epochs.",
    )
    list_group: int = flag(
        ALL_LAYERS,
        "Layers that are pruned before the network is tuned (cp_finetune, cp_retrain).",
        lower=1,
    )
    lasso: bool = flag(
        True,
        "Channels are chosen by LASSO; False: the largest magnitudes of their kernel slices stay.",
    )
    quadruple: bool = flag(False, "Keep multiples of four channels.", rivals=("cp_round_to",))
    multiple: int = flag(
        1,
        "Keep multiples of this many channels where the ratio allows.",
        unit="channels",
        lower=1,
        upper=4_096,
        name="round_to",
    )
    nb_points_per_layer: int = flag(
        10, "Random output positions taken from each image and layer.", lower=1, upper=1_000
    )
    nb_batches: int = flag(
        30, "Batches of training images that the statistics are taken from.", lower=1, upper=100_000
    )
    residual: str = flag(
        "inner",
        "Residual streams: inner leaves them whole; joint makes one choice for all their readers, "
        "and the stream gets narrower; gather lets each reader choose, behind a gather that costs "
        "time.",
        choices=("inner", "joint", "gather"),
    )
    skip_op_names: str | None = flag(
        None, "Layers whose name contains one of these comma-separated parts are left alone."
    )
    searching: AutoConfig = group(AutoConfig)
    channel_search: ChannelSearchConfig = group(ChannelSearchConfig)

    def __post_init__(self) -> None:
        if self.finetune and self.retrain:
            raise InputError(
                "--cp_finetune and --cp_retrain contradict each other: each says alone how the "
                "network is tuned after a group of layers. Leave one out."
            )
        if self.list_group != ALL_LAYERS and not (self.finetune or self.retrain):
            raise InputError(
                f"`cp_list_group` has no effect without tuning after each group. Received: "
                f"{self.list_group}. Add --cp_finetune or --cp_retrain, or leave it out."
            )

    @property
    def prune_ratio(self) -> float:
        """Fraction of the channels removed from each layer."""
        return 1.0 - self.uniform_preserve_ratio

    @property
    def round_to(self) -> int:
        """Counts are multiples of it."""
        return 4 if self.quadruple else self.multiple

    @property
    def criterion(self) -> str:
        """How channels are chosen, a row of `learners.channels.criteria.CRITERIA`."""
        return "lasso" if self.lasso else "l1"

    @property
    def search_flag(self) -> str:
        """The option that searches."""
        return f"--{_OPTION}=auto"

    def idle(self) -> dict[str, str]:
        """See `LearnerConfig`."""
        found = super().idle()
        if not self.finetune:
            why = "the network is not fine-tuned after groups of layers; --cp_finetune does."
            found |= dict.fromkeys(("cp_lrn_rate_ft", "cp_nb_iters_ft_ratio"), why)
        return found

    def wants_search(self) -> bool:
        """Whether an agent is asked to choose for each layer."""
        return self.prune_option == "auto"

    def own_budget(self) -> str | None:
        """That of the search."""
        return f"flops:{self.preserve_ratio!r}" if self.wants_search() else None

    def ratio_list(self) -> RatioList | None:
        """Read what the list says, None without one."""
        if self.prune_option != "list":
            return None
        return read_ratios(self.prune_list_file, "cp_prune_list_file", removed=False)

    def choice(self) -> Choice | None:
        """A list says what stays of each layer."""
        return Choice(f"{_OPTION}=list", "a list") if self.prune_option == "list" else None

    def check_files(self) -> None:
        """Refuse a list that cannot be read, or has entries that are no ratios."""
        self.ratio_list()
