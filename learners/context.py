"""What a stage of a run is given: flags, files, epochs; data and loss; what may be kept."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from learners import Entry
from learners.budget import KINDS, Budget
from learners.config import DistillationConfig, RunConfig
from learners.learner_config import LearnerConfig
from learners.setting import Setting
from rl_agents.ddpg.config import DdpgConfig
from utils import flags
from utils.multi_gpu_wrapper import MultiGpuWrapper

if TYPE_CHECKING:
    import keras

    from nets.abstract_model_helper import AbstractModelHelper


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagePlan:
    """One stage of a run.

    Attributes:
        learner: the learner's name in the table.
        entry: its row there.
        config: its config object.
        state_path: the resumable state, a `.keras` file with extra entries.
        artefact_path: the resulting plain `.keras`; the `.tflite` files and the report of the last
            stage lie beside it.
        num_epochs: epochs of (fine-)training; None = the network's own schedule.
    """

    learner: str
    entry: Entry
    config: Any
    state_path: pathlib.Path
    artefact_path: pathlib.Path
    num_epochs: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageContext:
    """Everything a learner is given besides the network.

    Attributes:
        run: flags of every run.
        stage: the learner's config, paths and epochs.
        helper: data, loss and schedule.
        budget: what may be kept, of the kinds that the learner can meet; None where the ratio flags
            rule.
        setting: how much of each layer stays, None where ratio flags or the budget rule.
        fresh: the network's weights are what its initializers drew, nothing was learned yet.
        holds_out: train without the images that the helper holds out for validation.
        log_dir: folder for TensorBoard.
        teacher: the network whose outputs are learned from, None without distillation.
        further_teachers: those that teach beside it, by the mean of all.
        workers: this process among those that train together.
    """

    run: RunConfig
    stage: StagePlan
    helper: "AbstractModelHelper"
    budget: Budget | None = None
    setting: Setting | None = None
    fresh: bool = False
    holds_out: bool = False
    log_dir: pathlib.Path
    teacher: "keras.Model | None" = None
    further_teachers: "tuple[keras.Model, ...]" = ()
    workers: MultiGpuWrapper = MultiGpuWrapper()

    @property
    def temperature(self) -> float:
        """Temperature of distillation in this stage."""
        own, flags_of_run = self.stage.config.own_teacher(), self.run.distillation
        if own is not None and flags_of_run.tempr_dst is None:
            return own.temperature
        return flags_of_run.temperature(self.student_bits)

    @property
    def student_bits(self) -> int:
        """Bits of each weight that the stage leaves; their mean where a budget or setting rules."""
        each = KINDS["bits"].each or 0.0
        for limit in () if self.budget is None else self.budget.limits:
            if limit.kind == "bits" and limit.share is not None:
                return round(each * limit.share)
        setting = self.setting
        if setting is not None and setting.quantity == "bits":
            bits = sum(setting.network[name] * value for name, value in setting.values.items())
            return round(bits / max(sum(setting.network[name] for name in setting.values), 1))
        return int(self.stage.config.student_bits)

    def decisive_flags(self) -> dict[str, Any]:
        """Give the flags, by name, that decide what the stage computes.

        Two runs in which they are equal may share what the stage left. A flag of other stages,
        such as the budget of a learner that can meet none, counts as None.
        """
        configs: tuple[LearnerConfig | Any, ...] = (self.run, self.helper.config, self.stage.config)
        values = {n: v for config in configs for n, v in flags.decisive_values(config).items()}
        values["budget"] = None if self.budget is None else self.budget.text
        fine_tunes = self.stage.entry.starts == "trained"
        unused = ["enbl_warm_start"] if fine_tunes else ["lrn_rate_ft", "optimizer_ft"]
        values["tempr_dst"] = self.temperature
        if self.teacher is None:
            unused += [spec.name for spec in flags.describe(DistillationConfig)]
        if not self.stage.config.wants_search():  # neither agents nor rewards
            unused += [spec.name for spec in flags.describe(DdpgConfig)] + ["metric", "metric_mode"]
        return values | {name: None for name in unused if name in values}
