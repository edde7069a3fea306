"""The full-precision learner's flags: none of its own, those of every run suffice."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class FullPrecConfig:
    """Nothing to choose."""
