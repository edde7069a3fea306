"""What the functions about channels read of a learner's config, whichever learner's it is."""

from typing import Protocol

from learners.channels.ratio_list import RatioList


class LatencyFlags(Protocol):
    """See `learners/channels/config.py`."""

    @property
    def latency_step(self) -> int:
        """Counts are multiples of it with a latency budget."""


class BudgetFlags(Protocol):
    """Which counts of channels a budget may choose; a config with fields of these names has it."""

    @property
    def PREFIX(self) -> str:  # noqa: N802  as configs spell it
        """Of the learner's flags, for messages."""

    @property
    def round_to(self) -> int:
        """Counts are multiples of it."""

    @property
    def channel_search(self) -> LatencyFlags:
        """Flags of a search for channel counts."""


class ChannelFlags(BudgetFlags, Protocol):
    """Which channels a learner may cut, too."""

    @property
    def prune_ratio(self) -> float:
        """Fraction of the channels removed, in [0, 1)."""

    def ratio_list(self) -> RatioList | None:
        """One fraction for each group instead, None without."""

    @property
    def residual(self) -> str:
        """`inner`, `joint` or `gather`."""

    @property
    def skip_frst_layer(self) -> bool:
        """Leave the first layer's input channels alone."""

    @property
    def skip_last_layer(self) -> bool:
        """Leave the last layer's input channels alone."""

    @property
    def skip_op_names(self) -> str | None:
        """Parts of the names of layers that are left alone, separated by commas."""
