"""Flags of the learner `auto`."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from learners.auto.offers import parse_patterns
from learners.channels.config import LatencyConfig
from learners.learner_config import LearnerConfig, OwnTeacher
from utils.errors import InputError
from utils.export.exporters import decoded_files
from utils.flags import flag, group
from utils.horovod_calls import launched_size

if TYPE_CHECKING:
    from learners.config import RunConfig

USUAL_DROP = 0.5  # points, where neither a drop nor a budget is given
FEWEST_BITS, MOST_BITS = 2, 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalConfig:
    """What is asked for, besides budgets; without a prefix, as `--budget` is."""

    PREFIX: ClassVar[str] = ""

    max_drop: float | None = flag(
        None,
        "How much the file may lose, on held-out training images: points of the metric that "
        "decides where that is a fraction (0.5: from 91.7 % to 91.2 %), else percent of it. The "
        f"smallest file is looked for that loses no more; {USUAL_DROP} where no budget is given "
        "either.",
        unit="points",
        lower=0.0,
        upper=100.0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoConfig(LearnerConfig):
    """What may be chosen, and how much is tried."""

    PREFIX: ClassVar[str] = "auto_"
    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_path_eval"
    IMPLIED: ClassVar[tuple[str, ...]] = ("enbl_dst",)

    save_path: str = flag("./models_auto/model.keras", "Resumable state of the learner.", path=True)
    save_path_eval: str = flag(
        "./models_auto_eval/model.keras",
        "The artefact, its files for devices and report beside it.",
        path=True,
    )
    goal: GoalConfig = group(GoalConfig)
    patterns: str | None = flag(
        None,
        "Zeros that layers may have, separated by commas: dense, element (single weights), N:4 "
        "such as 2:4. Without it those that the file gains from: element where the file is not for "
        "a device.",
    )
    bits_min: int = flag(
        FEWEST_BITS,
        "Fewest bits of a layer's weights.",
        unit="bits",
        lower=1,
        upper=MOST_BITS,
    )
    residual: str = flag(
        "inner",
        "Residual streams: inner leaves them whole; joint lets them get narrower, too.",
        choices=("inner", "joint"),
    )
    round_to: int = flag(
        1,
        "Keep multiples of this many channels where the size allows.",
        unit="channels",
        lower=1,
        upper=4_096,
    )
    skip_op_names: str | None = flag(
        None, "Layers whose name contains one of these comma-separated parts are left as they are."
    )
    nb_smpls: int = flag(
        1000, "Training images that closed forms are taken from.", lower=1, upper=1_000_000
    )
    nb_crops_per_smpl: int = flag(
        10, "Random output positions taken from each image and layer.", lower=1, upper=1_000
    )
    nb_smpls_check: int = flag(
        2000,
        "Held-out training images that files of candidates are run on.",
        lower=1,
        upper=1_000_000,
    )
    nb_candidates: int = flag(
        6, "Candidates of different sizes that are made and checked, at most.", lower=1, upper=50
    )
    compare: bool = flag(
        True,
        "Also make, at the bytes of the winner, the best networks with fewer channels alone, zeros "
        "alone and fewer bits alone, for the report.",
    )
    nb_tunings: int = flag(
        3,
        "With epochs: candidates that are fine-tuned until one is inside max_drop.",
        lower=1,
        upper=100,
    )
    channel_search: LatencyConfig = group(LatencyConfig)

    def __post_init__(self) -> None:
        """Refuse patterns that cannot be read."""
        _ = self.offered_patterns

    @property
    def offered_patterns(self) -> tuple[str, ...] | None:
        """Those of the flag; None without.

        Raises:
            InputError: for one that cannot be read.
        """
        if self.patterns is None:
            return None
        try:
            return parse_patterns(self.patterns)
        except ValueError as error:
            raise InputError(f"`auto_patterns` {error} Received: {self.patterns!r}.") from error

    @property
    def own_epochs(self) -> float:
        """None: everything is made in closed form, unless --nb_epochs asks for more."""
        return 0.0

    def own_teacher(self) -> OwnTeacher | None:
        """Fine-tuning learns from the network before."""
        return OwnTeacher(2.0, None, "`learner` auto")

    def takes_setting(self) -> bool:
        """A setting says channels, zeros and bits of each layer."""
        return True

    def max_drop(self, budget: str | None) -> float | None:
        """Give the points that may be lost; None where a budget alone rules."""
        if self.goal.max_drop is not None or budget is not None:
            return self.goal.max_drop
        return USUAL_DROP

    def files_for(self, target: str | None) -> tuple[str, ...]:
        """Add the file whose weights are decoded from tables, where the device runs it."""
        return decoded_files(target)

    def check_run(self, run: "RunConfig", *, counts_given: bool, num_epochs: float | None) -> None:
        """Refuse a goal beside a setting, which says everything itself."""
        if run.setting is not None and self.goal.max_drop is not None:
            raise InputError(
                "--setting and --max_drop contradict each other: the file says what stays of each "
                "layer. Leave one out."
            )
        if run.enbl_multi_gpu or launched_size() > 1:
            raise InputError(
                "The learner auto runs in one process. Leave -n and --enbl_multi_gpu out, or train "
                "with several workers and --setting=setting.json."
            )
