"""Flags of the learner that `doors_test.py` throws away; documented paths of names of their own."""

import dataclasses
from typing import ClassVar

from learners.learner_config import LearnerConfig
from learners.search.config import RolloutConfig
from utils.flags import flag, group


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThrowAwayConfig(LearnerConfig):
    """Bits of every kernel: one number, or as searched."""

    PREFIX: ClassVar[str] = "ta_"
    STATE_FIELD: ClassVar[str | None] = "tune_save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_quant_model_path"

    tune_save_path: str = flag("./models_ta/state.keras", "Resumable state.", path=True)
    save_quant_model_path: str = flag("./models_ta/model.keras", "The artefact.", path=True)
    num_bits: int = flag(6, "Bits of each weight.", lower=2, upper=8)
    lrn_rate_ft: float = flag(0.003, "Initial rate of the last fit.", lower=0.0, lower_open=True)
    searching: RolloutConfig = group(RolloutConfig)

    @property
    def fine_tune_lrn_rate(self) -> float | None:
        """Its own flag."""
        return self.lrn_rate_ft
