"""When weights go: the second of the four axes (score, schedule, allocate, mask).

A schedule is a frozen dataclass with two pure methods: `left(step)`, which share of what will be
removed is still there, and `is_update(step)`, whether the masks are decided anew after that step.
Steps are counted from 1; 0 is before the first.
"""

import dataclasses
import functools
from typing import Protocol

from learners.due_steps import due_steps
from utils.errors import InputError


class Schedule(Protocol):
    """See the module."""

    def left(self, step: int) -> float:
        """Share, in [0, 1], of the weights to remove that is still there: 1 at first, 0 at last."""

    def is_update(self, step: int) -> bool:
        """Whether masks are decided anew after this step."""

    def num_updates(self) -> int:
        """How often they are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Polynomial:
    """The sparsity rises from begin to end, fast at first.

        s_t = s_f + (s_i - s_f) (1 - (t - t_b) / (t_e - t_b))^alpha   for t in [t_b, t_e]      (1)

    with s_i the sparsity before, s_f the last; `left` is the power. Masks are decided at t_b,
    every `every` steps from there, and at t_e.

    Attributes:
        begin: t_b.
        end: t_e, the last step of the rise; > begin.
        every: steps between two decisions.
        exponent: alpha.

    Example:
        >>> schedule = Polynomial(begin=100, end=200, every=50, exponent=3.0)
        >>> [schedule.left(step) for step in (0, 100, 150, 200, 300)]
        [1.0, 1.0, 0.125, 0.0, 0.0]
        >>> [step for step in range(400) if schedule.is_update(step)]
        [100, 150, 200]

    Reference:
        Zhu & Gupta, "To Prune, or Not to Prune", 2017, arXiv:1710.01878, equation (1).
    """

    begin: int
    end: int
    every: int
    exponent: float = 3.0

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.end or self.every < 1:
            raise ValueError(
                "`begin` must be in [0, end) and `every` at least 1. Received: "
                f"begin={self.begin}, end={self.end}, every={self.every}."
            )

    def left(self, step: int) -> float:
        """See the module."""
        done = (step - self.begin) / (self.end - self.begin)
        return (1.0 - min(max(done, 0.0), 1.0)) ** self.exponent

    def is_update(self, step: int) -> bool:
        """See the module."""
        inside = self.begin <= step <= self.end
        return inside and ((step - self.begin) % self.every == 0 or step == self.end)

    def num_updates(self) -> int:
        """Decisions that remove something: all but the one at `begin`."""
        return -(-(self.end - self.begin) // self.every)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stairs:
    """Sparse training in stairs: nothing for a while, then a part every `frequency` steps.

    The steps are those of own loops (`due_steps`); the sparsity follows (1) of `Polynomial` from
    stair to stair.

    Attributes:
        pretrain_step: steps before anything is removed.
        sparse_step: steps in which weights are removed.
        frequency: steps between two removals, at most `sparse_step`.
        exponent: alpha.

    Example:
        >>> stairs = Stairs(pretrain_step=100, sparse_step=60, frequency=20, exponent=1.0)
        >>> [round(stairs.left(step), 2) for step in (119, 120, 140, 160, 500)]
        [1.0, 0.67, 0.33, 0.0, 0.0]
        >>> [step for step in range(400) if stairs.is_update(step)]
        [120, 140, 160]
    """

    pretrain_step: int
    sparse_step: int
    frequency: int
    exponent: float = 3.0

    def __post_init__(self) -> None:
        _ = self._due  # refuses numbers that cannot be

    @functools.cached_property
    def _due(self) -> dict[int, float]:
        return dict(due_steps(self.pretrain_step, self.sparse_step, self.frequency))

    def left(self, step: int) -> float:
        """See the module."""
        done = max((share for due, share in self._due.items() if due <= step), default=0.0)
        return (1.0 - done) ** self.exponent

    def is_update(self, step: int) -> bool:
        """See the module."""
        return step in self._due

    def num_updates(self) -> int:
        """How many stairs there are."""
        return len(self._due)

    @property
    def end(self) -> int:
        """The step of the last stair."""
        return max(self._due)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Once:
    """All at once, before the first step.

    Example:
        >>> Once().left(0), Once().is_update(0), Once().is_update(1)
        (0.0, True, False)
    """

    def left(self, step: int) -> float:
        """See the module."""
        del step
        return 0.0

    def is_update(self, step: int) -> bool:
        """See the module."""
        return step == 0

    def num_updates(self) -> int:
        """See the module."""
        return 1


def polynomial_for(
    num_steps: int, first: float, last: float, *, every: int, exponent: float
) -> Polynomial:
    """Place the rise in a training.

    Args:
        num_steps: steps of the training, at least 1.
        first, last: fractions of it at which the rise begins and ends.
        every: steps between two decisions.
        exponent: alpha.

    Example:
        >>> polynomial_for(1000, 0.1, 0.5, every=500, exponent=3.0)
        Polynomial(begin=100, end=500, every=500, exponent=3.0)
    """
    begin = min(int(first * num_steps), num_steps - 1)
    end = max(round(last * num_steps), begin + 1)  # however short the training is
    return Polynomial(begin=begin, end=end, every=every, exponent=exponent)


class Flags(Protocol):
    """What is read of the learner's config."""

    @property
    def PREFIX(self) -> str:  # noqa: N802  as configs spell it
        """Of its flags, for messages."""

    @property
    def schedule_kind(self) -> str:
        """`poly`, `step` or `once`."""

    @property
    def prune_ratio_exp(self) -> float:
        """Alpha."""

    @property
    def iter_ratio_beg(self) -> float:
        """Where in the training the rise begins."""

    @property
    def iter_ratio_end(self) -> float:
        """Where it ends."""

    @property
    def mask_update_step(self) -> float:
        """Steps between two decisions."""

    @property
    def pretrain_step(self) -> int:
        """Steps before the stairs."""

    @property
    def sparse_step(self) -> int:
        """Steps of the stairs."""

    @property
    def frequency(self) -> int:
        """Steps of a stair."""


def make_schedule(config: Flags, num_steps: int) -> Schedule:
    """Make the schedule that the flags describe.

    Args:
        config: the flags.
        num_steps: steps of the training; without any, all goes at once.

    Raises:
        InputError: if the last weights would go after the training.
    """
    if num_steps == 0 or config.schedule_kind == "once":
        return Once()
    if config.schedule_kind == "poly":
        return polynomial_for(
            num_steps,
            config.iter_ratio_beg,
            config.iter_ratio_end,
            every=int(config.mask_update_step),
            exponent=config.prune_ratio_exp,
        )
    stairs = Stairs(
        pretrain_step=config.pretrain_step,
        sparse_step=config.sparse_step,
        frequency=config.frequency,
        exponent=config.prune_ratio_exp,
    )
    _check_ends(stairs, num_steps, config.PREFIX)
    return stairs


def _check_ends(stairs: Stairs, num_steps: int, prefix: str) -> None:
    """Refuse stairs that lead beyond the training."""
    if stairs.end > num_steps:
        raise InputError(
            f"`{prefix}schedule`: the last weights would go at step {stairs.end} "
            f"({prefix}pretrain_step {stairs.pretrain_step} + {prefix}sparse_step "
            f"{stairs.sparse_step}), and training lasts {num_steps} steps. Give a larger "
            f"--nb_epochs, or smaller --{prefix}pretrain_step and --{prefix}sparse_step."
        )
