"""Taking rows out of a least-squares kernel while the others make up for them, exactly.

For the quadratic `J(W) = tr(W^T G W) - 2 tr(W^T C)` with its minimum at `W = G^-1 C`, and `A =
G^-1`, let rows R be *settled*: set to values T_R (zeros, or points of a grid) and held there. Then
the best the other rows can do, the inverse Gram matrix of the rows that are left, and J become

    A_RR = L L^T,   V = L^-1 A_R,   E = L^-1 (W_R - T_R)
    W <- W - V^T E,   A <- A - V^T V,   J <- J + ||E||_F^2                                (1)

Rows settled one after the other make V, row by row, the Cholesky factor of A in their order: known
beforehand where the order is (`column_order.py`), found on the way where each step looks for the
cheapest block.

The inverse is brought up to date in panels. In between, the V of what was settled since waits
beside it, and (1) is worked out for those rows alone that are needed: most of the work is then a
product of matrices, on the rows that are left.

Reference:
    Hassibi & Stork, "Second Order Derivatives for Network Pruning: Optimal Brain Surgeon", NIPS
    1993, equation (5); Frantar, Singh & Alistarh, "Optimal Brain Compression", NeurIPS 2022,
    arXiv:2208.11580, equations (3), (4) and (7).
"""

import numpy as np

PANEL = 64  # rows that are settled between two updates of the inverse


class Downdate:
    """Kernels of T teams of outputs, each with an inverse of its own, while blocks are settled.

    Args:
        inverse: A, float64 [P, P], at the start the same for all teams.
        kernel: W, float64 [T, P, width].
        members: int [B, c], the rows of each block; short ones are filled up with -1.

    Attributes:
        kernel: float64 [T, P, width]: settled rows at their values, the others at their best.
    """

    def __init__(self, inverse: np.ndarray, kernel: np.ndarray, members: np.ndarray) -> None:
        self.kernel = np.array(kernel)
        num_teams, num_rows, _ = kernel.shape
        self._teams = np.arange(num_teams)
        self._members = np.maximum(members, 0)
        self._real = members >= 0
        self._left = np.ones((num_teams, num_rows))
        corners = inverse[self._members[:, :, None], self._members[:, None, :]]
        self._corners = np.repeat(_filled_up(corners, self._real)[None], num_teams, axis=0)
        # The inverse and the panel have the rows that were left when the panel was last emptied.
        self._inverse = np.broadcast_to(inverse, (num_teams, num_rows, num_rows))
        self._rows = np.broadcast_to(np.arange(num_rows), (num_teams, num_rows))
        self._place = np.array(self._rows)  # of each row among those
        self._panel = np.empty((num_teams, max(PANEL, members.shape[1]), num_rows))
        self._num_waiting = 0

    def losses(self, targets: np.ndarray | float = 0.0) -> np.ndarray:
        """Say how much J would rise if each block alone were settled: `||E||_F^2`.

        Args:
            targets: float64 [T, P, width], the values of its rows.

        Returns:
            float64 [T, B]; meaningless where a block is settled already.
        """
        gaps = (self.kernel - targets)[:, self._members]  # [T, B, c, width]
        gaps = gaps * self._real[:, :, None]
        if self._members.shape[1] == 1:
            return np.sum(gaps[:, :, 0] ** 2, axis=-1) / self._corners[:, :, 0, 0]
        squares = gaps @ gaps.swapaxes(-1, -2)
        return np.trace(np.linalg.solve(self._corners, squares), axis1=-2, axis2=-1)

    def settle(self, blocks: np.ndarray, targets: np.ndarray | float = 0.0) -> np.ndarray:
        """Settle one block in each team.

        Args:
            blocks: int [T], which; -1 = none.
            targets: float64 [T, c, width], the values of its rows.

        Returns:
            float64 [T], the rise of J.

        Raises:
            ValueError: if the Gram matrix was so near to singular that nothing of A is left.
        """
        rows, teams = self._members[blocks], self._teams[:, None]
        real = self._real[blocks] & (blocks >= 0)[:, None]
        columns = self._columns(rows) * real[:, :, None]
        corner = np.take_along_axis(columns, rows[:, None, :], axis=2)
        try:
            lower = np.linalg.cholesky(_filled_up(corner, real))
        except np.linalg.LinAlgError as error:
            raise ValueError("The Gram matrix is singular to rounding. Raise `pull`.") from error
        gains = _solved(lower, columns)  # V, [T, c, P]
        gaps = (self.kernel[teams, rows] - targets) * real[:, :, None]
        errors = _solved(lower, gaps)  # E, [T, c, width]
        self.kernel -= gains.swapaxes(1, 2) @ errors
        at = np.nonzero(real)
        settled = at[0], rows[at]
        self.kernel[settled] = np.broadcast_to(targets, gaps.shape)[at]
        self._left[settled] = 0.0
        self._update_corners(blocks, gains)
        self._append(gains)
        return np.sum(errors**2, axis=(1, 2))

    def _columns(self, rows: np.ndarray) -> np.ndarray:
        """Give some rows of each team's inverse as it is now: [T, c, P], 0 where settled."""
        teams = self._teams[:, None]
        places = self._place[teams, rows]
        waiting = self._panel[:, : self._num_waiting]
        found = self._inverse[teams, places] - waiting[teams, :, places] @ waiting
        columns = np.zeros((*rows.shape, self._left.shape[1]))
        np.put_along_axis(columns, self._rows[:, None, :], found, axis=2)
        return columns * self._left[:, None, :]

    def _update_corners(self, blocks: np.ndarray, gains: np.ndarray) -> None:
        """Bring each block's own part of the inverse up to date."""
        parts = (gains[:, :, self._members] * self._real).transpose(0, 2, 3, 1)  # [T, B, c, c]
        self._corners -= parts @ parts.swapaxes(-1, -2)
        chosen = blocks >= 0
        self._corners[self._teams[chosen], blocks[chosen]] = np.eye(self._members.shape[1])

    def _append(self, gains: np.ndarray) -> None:
        stop = self._num_waiting + gains.shape[1]
        if stop > self._panel.shape[1]:
            self._flush()
            stop = gains.shape[1]
        own = np.take_along_axis(gains, self._rows[:, None, :], axis=2)
        self._panel[:, self._num_waiting : stop] = own
        self._num_waiting = stop

    def _flush(self) -> None:
        """Bring the inverse up to date, on the rows that are left.

        Where a team has fewer of them than another, some that are settled fill it up.
        """
        num_left = max(int(self._left.sum(axis=1).max()), 1)  # when all is settled, one of those
        rows = np.argsort(-self._left, axis=1, kind="stable")[:, :num_left]
        inverse = np.empty((len(rows), num_left, num_left))
        for team, places in enumerate(self._place[self._teams[:, None], rows]):
            waiting = self._panel[team, : self._num_waiting, places]  # [n, waiting]
            inverse[team] = self._inverse[team][np.ix_(places, places)] - waiting @ waiting.T
        self._inverse, self._rows = inverse, rows
        self._place = np.zeros_like(self._place)  # of settled rows any will do
        np.put_along_axis(self._place, rows, np.arange(num_left)[None], axis=1)
        self._panel = np.empty((len(rows), self._panel.shape[1], num_left))
        self._num_waiting = 0


def _filled_up(corners: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Give the rows that fill up short blocks a corner in which they are alone: a 1."""
    both = real[..., :, None] & real[..., None, :]
    return np.where(both, corners, np.eye(real.shape[-1]))


def _solved(matrices: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve many small systems; a single row needs no LAPACK, whose calls would cost most of it."""
    return right / matrices if matrices.shape[-1] == 1 else np.linalg.solve(matrices, right)
