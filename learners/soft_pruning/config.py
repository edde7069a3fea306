"""Flags of the learner `soft-pruned`."""

import dataclasses
from typing import ClassVar

from learners.filters.thresholds import parse_thresholds
from learners.learner_config import LearnerConfig
from learners.name_parts import name_parts
from utils.flags import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftPrunedConfig(LearnerConfig):
    """Which filters are redundant, and how long they may come back."""

    PREFIX: ClassVar[str] = "sfp_"
    STATE_FIELD: ClassVar[str | None] = "save_path"
    ARTEFACT_FIELD: ClassVar[str | None] = "save_path_eval"

    save_path: str = flag("./models_sfp/model.keras", "Resumable state of the learner.", path=True)
    save_path_eval: str = flag(
        "./models_sfp_eval/model.keras",
        "The artefact, its .tflite files and report beside it.",
        path=True,
    )
    thresholds: str = flag(
        "0.8,0.7,0.6,0.55,0.5",
        "Falling thresholds, separated by commas: a filter is redundant where a larger share of "
        "its weights than this is smaller than the mean magnitude of its layer.",
    )
    failure_rate: float = flag(
        0.1,
        "The next threshold follows when at most this share of the zeroed filters came back.",
        lower=0.0,
        upper=1.0,
    )
    max_retrains: int = flag(
        2,
        "How often training is repeated for one threshold while too many come back.",
        lower=0,
        upper=1_000,
    )
    frequency: int = flag(
        0,
        "Training steps between two decisions which filters are zero; 0 for the ends of epochs.",
        unit="steps",
        lower=0,
    )
    scope_names: str | None = flag(
        None, "Prune only layers whose name contains one of these comma-separated parts."
    )

    def __post_init__(self) -> None:
        """Refuse thresholds that do not fall."""
        self.falling()

    def falling(self) -> tuple[float, ...]:
        """Give the thresholds as numbers."""
        return parse_thresholds(self.thresholds, f"`{self.PREFIX}thresholds`")

    def scopes(self) -> tuple[str, ...]:
        """Give the parts of names."""
        return name_parts(self.scope_names)
