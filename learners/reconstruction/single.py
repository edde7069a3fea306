"""Eliminating single weights, each output in an order of its own: `course.py`, where it is shorter.

A block of one weight of one output needs no small systems: of (1) in `downdate.py` remain

    v = A_p / sqrt(A_pp),   e = (w_p - t_p) / sqrt(A_pp),   w <- w - e v,   J <- J + e^2     (1)

so that only w and the diagonal of A have to be known for the weights that are left, and one row of
A at a time. As with blocks, A is brought up to date in panels; with it all that is settled leaves
the arrays, whose weights are on average half of the kernel's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.linalg

from learners.reconstruction.blocks import Blocks

PANEL = 96  # weights of an output that are settled between two updates of its inverse

Aim = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(values float64 [T, n], rows int [T, n]) -> where weights in those rows would go."""


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """What T outputs begin with; see `elimination.py` for G and C.

    Attributes:
        gram: float64 [P, P], G with eps.
        cross: float64 [P, T], C with eps.
        inverse: float64 [P, P], of G.
        kernel: float64 [P, T], G^-1 C.
        present: boolean [P, T], False where a weight is settled at zero beforehand.
    """

    gram: np.ndarray
    cross: np.ndarray
    inverse: np.ndarray
    kernel: np.ndarray
    present: np.ndarray


def run(
    start: Start,
    blocks: Blocks,
    *,
    aim: Aim | None = None,
    reach: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let the weights of each output go one after the other, the cheapest first, until none may.

    Args:
        start: what is known of the outputs.
        blocks: `Blocks.single` or `Blocks.n_of_m`.
        aim: where weights go; None = to zero.
        reach: float64 [P, T]: weights farther than that from where they are to go do so before all
            others; None = no such rule.

    Returns:
        The order, int [T, S], -1 where an output has no more to give; float64 [T, S + 1], how much
        its error has risen after each step; and the kernel, float64 [P, T].

    Raises:
        ValueError: if the Gram matrix was so near to singular that nothing of its inverse is left.
    """
    state = _State(start)
    rules = _Rules(blocks, start.present)
    num_teams = start.kernel.shape[1]
    teams = np.arange(num_teams)
    order = np.full((num_teams, blocks.max_gone), -1)
    rises = np.zeros((num_teams, blocks.max_gone + 1))
    limits: np.ndarray | None = None
    for step in range(blocks.max_gone):
        if state.make_room():
            rules.keep(state.rows)
            limits = None if reach is None else reach[state.rows, teams[:, None]]
        goals = None if aim is None else aim(state.values, state.rows)
        gaps = state.values if goals is None else state.values - goals
        with np.errstate(divide="ignore", invalid="ignore"):  # `settle` refuses what is singular
            losses = gaps**2 / state.diagonal
        losses += rules.penalty
        if limits is not None:
            _strays_first(losses, np.abs(gaps) > limits)
        places = losses.argmin(axis=1)
        goes = losses[teams, places] != np.inf
        if not goes.any():
            rises[:, step + 1 :] = 0.0
            break
        rises[:, step + 1] = state.settle(places, goes, gaps[teams, places])
        order[:, step] = np.where(goes, state.rows[teams, places], -1)
        rules.settle(places, goes)
    return order, np.cumsum(rises, axis=1), state.kernel()


def _strays_first(losses: np.ndarray, far: np.ndarray) -> None:
    """Where weights of an output that may go are out of reach, make all others wait."""
    far &= losses < np.inf
    teams = np.flatnonzero(far.any(axis=1))
    if teams.size:
        losses[teams] = np.where(far[teams], losses[teams], np.inf)


class _State:
    """Weights, inverses and their panels, of the weights that were left when a panel began.

    Where an output has fewer of them than another, some that are settled fill it up.

    Attributes:
        rows: int [T, n], the rows of those weights.
        values: float64 [T, n]: settled ones where they are, the others at their best.
        diagonal: float64 [T, n] > 0, of the inverses; 1 where settled.
    """

    def __init__(self, start: Start) -> None:
        num_rows, num_teams = start.kernel.shape
        self._kernel = np.where(start.present, start.kernel, 0.0).T
        self._teams = np.arange(num_teams)
        self._left = start.present.T.copy()
        self._waiting = 0
        if start.present.all():
            self.rows = np.broadcast_to(np.arange(num_rows), (num_teams, num_rows))
            self._inverse = np.broadcast_to(start.inverse, (num_teams, num_rows, num_rows))
        else:
            self.rows, self._inverse = self._without(start)
        self._begin()

    def _without(self, start: Start) -> tuple[np.ndarray, np.ndarray]:
        """Solve anew for what is there, output by output."""
        rows = _left_first(self._left)
        inverse = np.zeros((len(rows), rows.shape[1], rows.shape[1]))
        for team, left in enumerate(self._left):
            size = int(np.count_nonzero(left))
            if size:
                factor = scipy.linalg.cho_factor(start.gram[np.ix_(left, left)], lower=True)
                inverse[team, :size, :size] = scipy.linalg.cho_solve(factor, np.eye(size))
                self._kernel[team, left] = scipy.linalg.cho_solve(factor, start.cross[left, team])
        return rows, inverse

    def _begin(self) -> None:
        teams = self._teams[:, None]
        self._alive = self._left[teams, self.rows].astype(np.float64)
        self.values = self._kernel[teams, self.rows]
        self.diagonal = np.where(self._alive, np.diagonal(self._inverse, axis1=1, axis2=2), 1.0)
        self._panel = np.empty((len(self.rows), PANEL, self.rows.shape[1]))
        self._waiting = 0
        self._is_new = True

    def make_room(self) -> bool:
        """Bring the inverse up to date where the panel is full; say whether the rows are others."""
        if self._waiting == PANEL:
            self.kernel()
            rows = _left_first(self._left)
            places = np.zeros(self._left.shape, int)
            np.put_along_axis(places, self.rows, np.arange(self.rows.shape[1])[None], axis=1)
            inverse = np.empty((len(rows), rows.shape[1], rows.shape[1]))
            for team, own in enumerate(np.take_along_axis(places, rows, axis=1)):
                waiting = self._panel[team][:, own]
                inverse[team] = self._inverse[team][np.ix_(own, own)]
                inverse[team] -= waiting.T @ waiting
            self.rows, self._inverse = rows, inverse
            self._begin()
        is_new, self._is_new = self._is_new, False
        return is_new

    def settle(self, places: np.ndarray, goes: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Settle one weight of each output, (1), and say by how much its J rises.

        Args:
            places: int [T], which of those in the arrays.
            goes: boolean [T], False where none is settled.
            gaps: float64 [T], how far it is from where it goes.
        """
        teams = self._teams
        waiting = self._panel[:, : self._waiting]
        own = waiting[teams, :, places][:, None, :]
        columns = self._inverse[teams, places] - (own @ waiting)[:, 0]
        pivots = np.where(goes, columns[teams, places], 1.0)
        if not (pivots > 0).all():
            raise ValueError("The Gram matrix is singular to rounding. Raise `pull`.")
        roots = np.sqrt(pivots)
        gains = columns * (self._alive * (goes / roots)[:, None])
        errors = np.where(goes, gaps / roots, 0.0)
        goals = self.values[teams, places] - np.where(goes, gaps, 0.0)
        self.values -= gains * errors[:, None]
        self.values[teams, places] = goals
        self.diagonal -= gains**2
        self.diagonal[teams[goes], places[goes]] = 1.0
        self._alive[teams[goes], places[goes]] = 0.0
        self._left[teams[goes], self.rows[teams, places][goes]] = False
        self._panel[:, self._waiting] = gains
        self._waiting += 1
        return errors**2

    def kernel(self) -> np.ndarray:
        """Give the whole kernel, float64 [P, T]."""
        np.put_along_axis(self._kernel, self.rows, self.values, axis=1)
        return self._kernel.T


class _Rules:
    """Which weights may still go.

    Attributes:
        penalty: float64 [T, n], infinite for those that may not.
    """

    penalty: np.ndarray

    def __init__(self, blocks: Blocks, present: np.ndarray) -> None:
        self._groups, self._num_left = blocks.group_of, blocks.num_left
        num_teams = present.shape[1]
        self._teams = np.arange(num_teams)
        self._left = present.T.copy()
        size = int(self._groups.max(initial=0)) + 1
        places = self._groups + size * self._teams[:, None]
        counts = np.bincount(places.ravel(), self._left.ravel(), minlength=size * num_teams)
        self._there = counts.reshape(num_teams, size).astype(int)

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these rows, int [T, n]."""
        self._rows = rows
        may_go = self._there > self._num_left
        may_go = self._left & may_go[:, self._groups]
        self.penalty = np.where(np.take_along_axis(may_go, rows, axis=1), 0.0, np.inf)

    def settle(self, places: np.ndarray, goes: np.ndarray) -> None:
        """Take out one weight of each output where it goes."""
        teams = self._teams[goes]
        rows = self._rows[teams, places[goes]]
        groups = self._groups[rows]
        self.penalty[teams, places[goes]] = np.inf
        self._left[teams, rows] = False
        self._there[teams, groups] -= 1
        if self._num_left:
            full = self._there[teams, groups] <= self._num_left
            for team, group in zip(teams[full], groups[full], strict=True):
                self.penalty[team, self._groups[self._rows[team]] == group] = np.inf


def _left_first(left: np.ndarray) -> np.ndarray:
    """List rows that are left in ascending order, int [T, n], n the most that an output has."""
    size = max(int(np.count_nonzero(left, axis=1).max(initial=0)), 1)
    return np.argsort(~left, axis=1, kind="stable")[:, :size]
