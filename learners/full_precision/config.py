"""The full-precision learner's flags: none of its own, those of every run suffice."""

import dataclasses

from learners.learner_config import LearnerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class FullPrecConfig(LearnerConfig):
    """Nothing to choose."""
