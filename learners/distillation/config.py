"""Flags of the learner `distillation`; teachers, temperature and layers are flags of every run.

Its network is kept at `--save_path`, as that of `full-prec` is: other learners start from there.
"""

import dataclasses
from typing import ClassVar

from learners.learner_config import LearnerConfig
from utils.flags import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationLearnerConfig(LearnerConfig):
    """How labels and teachers share the loss."""

    PREFIX: ClassVar[str] = "dst_"
    SWITCHES_ON: ClassVar[tuple[str, ...]] = ("enbl_dst",)

    alpha: float = flag(
        0.9,
        "Share of the teachers in the loss; the labels have the rest.",
        lower=0.0,
        lower_open=True,
        upper=1.0,
        hint="0 would leave the teacher out: --learner=full-prec trains on the labels alone.",
    )
