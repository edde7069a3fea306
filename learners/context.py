"""What a stage of a run is given: flags, files, epochs; data and loss; what may be kept."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from learners.budget import Budget
from learners.config import RunConfig
from learners.setting import Setting
from utils.multi_gpu_wrapper import MultiGpuWrapper

if TYPE_CHECKING:
    import keras

    from nets.abstract_model_helper import AbstractModelHelper


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagePlan:
    """One stage of a run.

    Attributes:
        learner: the learner's name in the table.
        config: its config object.
        state_path: the resumable state, a `.keras` file with extra entries.
        artefact_path: the resulting plain `.keras`; the `.tflite` files and the report of the last
            stage lie beside it.
        num_epochs: epochs of (fine-)training; None = the network's own schedule.
    """

    learner: str
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
        budget: what may be kept, None where the ratio flags rule.
        setting: how much of each layer stays, None where ratio flags or the budget rule.
        fresh: the network's weights are what its initializers drew, nothing was learned yet.
        holds_out: train without the images that the helper holds out for validation.
        log_dir: folder for TensorBoard.
        teacher: the network whose outputs are learned from, None without distillation.
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
    workers: MultiGpuWrapper = MultiGpuWrapper()
