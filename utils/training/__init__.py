"""Training, once for all learners: fit, loss, hints, schedules, evaluation, batch norm."""

from utils.training.batch_norm import (
    BatchNormEstimator,
    StatisticsRefresher,
    reestimate_batch_norm,
)
from utils.training.evaluate import Evaluator, evaluate
from utils.training.fit import fit
from utils.training.hints import common_maps
from utils.training.job import FitJob, FitResult
from utils.training.loss import LossComposer
from utils.training.metrics import Metric, Scores
from utils.training.schedule import fine_tune_schedule
from utils.training.scorer import Scorer, Tally
from utils.training.state import TrainingState, read_state
from utils.training.terms import Term, TermInputs, distillation, hint

__all__ = [
    "BatchNormEstimator",
    "Evaluator",
    "FitJob",
    "FitResult",
    "LossComposer",
    "Metric",
    "Scorer",
    "Scores",
    "StatisticsRefresher",
    "Tally",
    "Term",
    "TermInputs",
    "TrainingState",
    "common_maps",
    "distillation",
    "evaluate",
    "fine_tune_schedule",
    "fit",
    "hint",
    "read_state",
    "reestimate_batch_norm",
]
