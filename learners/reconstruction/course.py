"""The course of an elimination: which blocks may still go, which goes next, until none may."""

from collections.abc import Callable, Sequence

import numpy as np

from learners.reconstruction.blocks import Blocks
from learners.reconstruction.downdate import Downdate

Aim = Callable[[np.ndarray], np.ndarray]
"""Kernels float64 [T, P, width] -> the values that their weights would go to."""


class Course:
    """The blocks of T teams of outputs while they go, in one layer or in several together.

    Args:
        blocks: what goes together, and what must stay.
        num_teams: T.
        aim: where weights go; None = to zero.
        reach: float64, broadcast to [T, P, width]: blocks with a weight farther than that from
            where it is to go do so before all others, lest it strays farther; None = no such rule.
        per_step: blocks that go before the losses of the others are looked at again.

    Raises:
        ValueError: if `per_step` is not positive, or above 1 where some blocks must stay.
    """

    def __init__(
        self,
        blocks: Blocks,
        num_teams: int,
        *,
        aim: Aim | None = None,
        reach: np.ndarray | None = None,
        per_step: int = 1,
    ) -> None:
        if per_step < 1:
            raise ValueError(f"`per_step` must be at least 1. Received: {per_step}.")
        if per_step > 1 and blocks.num_left:
            raise ValueError("Where some blocks must stay, the others go one at a time.")
        self._blocks = blocks
        self._aim = aim
        self._reach = reach
        self._per_step = per_step
        self._teams = np.arange(num_teams)
        self._there = np.ones((num_teams, blocks.num_blocks), dtype=bool)
        sizes = np.bincount(blocks.group_of, minlength=1)
        self._num_there = np.repeat(sizes[None], num_teams, axis=0)  # in each group
        self._num_steps = blocks.max_gone

    def leave_out(self, state: Downdate, absent: np.ndarray) -> None:
        """Settle at zero what is not there from the start.

        Args:
            state: the layer.
            absent: boolean [T, B].
        """
        ranks = np.cumsum(absent, axis=1) * absent  # 1, 2, ... of those that are absent
        for rank in range(1, int(ranks.max(initial=0)) + 1):
            found = ranks == rank
            chosen = np.where(found.any(axis=1), found.argmax(axis=1), -1)
            state.settle(chosen)
            self._mark(chosen)

    def run(
        self, states: Sequence[Downdate], scales: Sequence[float]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Let blocks go until none may.

        Args:
            states: the layers; all lose the same blocks.
            scales: what one unit of each layer's error counts.

        Returns:
            The order, int [T, S], -1 where a team has no more to give; and for each layer float64
            [T, S + 1], how much its error has risen after each step.
        """
        order: list[np.ndarray] = []
        rises = [[np.zeros(len(self._teams))] for _ in states]
        while len(order) < self._num_steps:
            goals = [0.0 if self._aim is None else self._aim(state.kernel) for state in states]
            losses = np.zeros(self._there.shape)
            for state, goal, scale in zip(states, goals, scales, strict=True):
                losses += scale * state.losses(goal)
            losses[~self._may_go(states, goals)] = np.inf
            num_chosen = min(self._per_step, self._num_steps - len(order))
            for chosen in _cheapest(losses, num_chosen).T:
                for state, goal, rise in zip(states, goals, rises, strict=True):
                    rise.append(state.settle(chosen, self._values(goal, chosen)))
                self._mark(chosen)
                order.append(chosen)
        errors = [np.cumsum(np.stack(rise, axis=1), axis=1) for rise in rises]
        return np.stack(order, axis=1) if order else np.empty((len(self._teams), 0), int), errors

    def _may_go(
        self, states: Sequence[Downdate], goals: Sequence[np.ndarray | float]
    ) -> np.ndarray:
        """Say which blocks may go next: boolean [T, B]."""
        groups = self._blocks.group_of
        may_go = self._there & (self._num_there[:, groups] > self._blocks.num_left)
        if self._reach is None:
            return may_go
        for state, goal in zip(states, goals, strict=True):
            far = np.abs(state.kernel - goal) > self._reach
            far = far[:, self._blocks.members] & (self._blocks.members >= 0)[:, :, None]
            strays = far.any(axis=(2, 3)) & may_go
            may_go &= strays | ~strays.any(axis=1, keepdims=True)
        return may_go

    def _values(self, goal: np.ndarray | float, chosen: np.ndarray) -> np.ndarray | float:
        if not isinstance(goal, np.ndarray):
            return goal
        return goal[self._teams[:, None], np.maximum(self._blocks.members[chosen], 0)]

    def _mark(self, chosen: np.ndarray) -> None:
        teams = self._teams[chosen >= 0]
        blocks = chosen[chosen >= 0]
        self._there[teams, blocks] = False
        self._num_there[teams, self._blocks.group_of[blocks]] -= 1


def _cheapest(losses: np.ndarray, num_chosen: int) -> np.ndarray:
    """Choose the blocks with the least losses of each team, int [T, num_chosen]; -1 for inf."""
    if num_chosen == 1:
        chosen = np.argmin(losses, axis=1)[:, None]
    else:
        chosen = np.argsort(losses, axis=1, kind="stable")[:, :num_chosen]
    return np.where(np.isinf(np.take_along_axis(losses, chosen, axis=1)), -1, chosen)
