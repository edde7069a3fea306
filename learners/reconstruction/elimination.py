"""The elimination kernel: weights go one block at a time, and the others make up for it exactly.

For a layer with inputs X (in the network as compressed so far) and targets Y (in the one before)
the squared error of a kernel W depends on the data only through `G = X^T X` and `C = X^T Y`:

    J(W) = ||Y - X W||_F^2 + eps ||W - W_old||_F^2,   minimal at  W = (G + eps I)^-1 (C + eps W_old)

That kernel is solved for first. Then, until no more may go, the block whose loss raises J least is
set to its target and all others move to their new optimum (`downdate.py`; of single weights
`single.py`). So at every step the kernel is the best one for what is gone, and one pass gives the
error at *every* size. What a block is, and what must stay, says `blocks.py`: input channels, single
weights, N of M, tiles. The target is zero, or the nearest point of a grid: then a weight "goes" by
being rounded.

Reference:
    Hassibi & Stork, "Second Order Derivatives for Network Pruning: Optimal Brain Surgeon", NIPS
    1993; Frantar, Singh & Alistarh, "Optimal Brain Compression", NeurIPS 2022, arXiv:2208.11580:
    ExactOBS (section 4), blocks (equation 7), OBQ (section 5).

Departs from the papers: targets are the outputs of the network *before* compression while inputs
come from the compressed one, so that each layer also makes up for the errors in front of it; and
the least-squares kernel is where it begins, not the trained one.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg

from learners.reconstruction import single
from learners.reconstruction.blocks import Blocks
from learners.reconstruction.course import Course
from learners.reconstruction.downdate import Downdate
from learners.reconstruction.ridge import RIDGE, factorised

MAX_BYTES = 48 * 2**20  # inverses of the teams that are worked on together: about a CPU's cache

Target = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(values, rows, outputs) -> the allowed value nearest to each: float64 shaped like `values`, whose
places in the kernel are given by `rows` and `outputs`, int arrays that broadcast to it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Elimination:
    """What went when, and the best kernel at every size.

    Attributes:
        blocks: what went together.
        order: int [T, S], the block that went from each team at each step; -1 = none any more.
        errors: float64 [T, S + 1], by how much J has risen once s blocks are gone.
        gram: float64 [P, P], G + eps I.
        cross: float64 [P, O], C + eps W_old.
        values: float64 [P, O], where each weight was settled (0, or a point of the grid); for those
            that never went, the best answer to all others.
        present: boolean [P, O], False where a weight was zero from the start.
    """

    blocks: Blocks
    order: np.ndarray
    errors: np.ndarray
    gram: np.ndarray
    cross: np.ndarray
    values: np.ndarray
    present: np.ndarray

    def mask_at(self, num_gone: int | np.ndarray) -> np.ndarray:
        """Mark what is left once some blocks are gone.

        Args:
            num_gone: how many, in [0, S], int or int [T] for each team.

        Returns:
            Boolean [P, O]; True = not gone.

        Raises:
            ValueError: if that many never went.
        """
        counts = np.broadcast_to(num_gone, len(self.order))
        num_steps = self.order.shape[1]
        if counts.min() < 0 or counts.max() > num_steps:
            raise ValueError(f"`num_gone` must be in [0, {num_steps}]. Received: {num_gone}.")
        mask = self.present.copy()
        for team, count in enumerate(counts):
            gone = self.order[team, :count]
            rows = self.blocks.members[gone[gone >= 0]]
            mask[rows[rows >= 0], self._outputs(team)] = False
        return mask

    def kernel_at(self, num_gone: int | np.ndarray) -> np.ndarray:
        """Solve for the best kernel once some blocks are gone, afresh: no rounding errors add up.

        With S the rows of a team that are left and R the others, at their values T:
        `W_S = G_SS^-1 (C_S - G_SR T_R)`.

        Args:
            num_gone: how many, in [0, S], int or int [T] for each team.

        Returns:
            float64 [P, O].

        Raises:
            ValueError: if that many never went.
        """
        mask = self.mask_at(num_gone)
        kernel = np.where(mask, 0.0, self.values)
        for team in range(len(self.order)):
            outputs = self._outputs(team)
            left = mask[:, outputs.start]
            if left.any():
                known = self.gram[np.ix_(left, ~left)] @ kernel[~left, outputs]
                factor = scipy.linalg.cho_factor(self.gram[np.ix_(left, left)], lower=True)
                wanted = self.cross[left, outputs] - known
                kernel[left, outputs] = scipy.linalg.cho_solve(factor, wanted)
        return kernel

    def _outputs(self, team: int) -> slice:
        return slice(team * self.blocks.width, (team + 1) * self.blocks.width)


def eliminate(
    gram: np.ndarray,
    cross: np.ndarray,
    blocks: Blocks,
    *,
    target: Target | None = None,
    reach: np.ndarray | None = None,
    kernel: np.ndarray | None = None,
    pull: float = RIDGE,
    present: np.ndarray | None = None,
) -> Elimination:
    """Let a layer's blocks go one after the other, from every team the one missed least first.

    Inputs that are zero in all samples cost nothing and go first.

    Args:
        gram: G, float64 [P, P].
        cross: C, float64 [P, O].
        blocks: what goes together, and what must stay.
        target: where weights go; None = to zero.
        reach: float, broadcast to [P, O]: how far a weight within the grid is from its nearest
            point at most (half a step). Those that were moved out of the grid farther than that
            are settled at once, before they stray on. None = no such rule.
        kernel: W_old, float [P, O]: what the samples show little of stays near it; None = zeros.
        pull: eps, in units of the mean diagonal of G; > 0.
        present: boolean [P, O], False for weights that are zero from the start and stay so, such as
            those pruned before the rest is rounded; the same within a block. None = all are there.

    Returns:
        The order of each team, the errors, and what gives the kernels at all sizes.

    Raises:
        ValueError: if the arrays do not fit one another, or `pull` is too small.

    Example:
        >>> x = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
        >>> y = x @ np.array([[1.0], [3.0]])
        >>> found = eliminate(x.T @ x, x.T @ y, Blocks.single(2), pull=1e-12)
        >>> found.order, found.errors.round(3)
        (array([[0, 1]]), array([[ 0.   ,  0.667, 34.   ]]))
        >>> found.kernel_at(1).round(3)  # for y = 4, 3, 3 the mean
        array([[0.   ],
               [3.333]])
    """
    _check(gram, cross, blocks)
    reach = None if reach is None else np.broadcast_to(reach, cross.shape)
    present = np.ones(cross.shape, dtype=bool) if present is None else np.asarray(present, bool)
    if present.shape != cross.shape:
        raise ValueError(f"`present` must be {cross.shape}. Received: {present.shape}.")
    _absent(present, blocks)  # refuses parts of blocks
    if kernel is not None and target is None:
        kernel = np.where(np.diag(gram)[:, None] > 0, kernel, 0.0)
    problem = _Problem.of(gram, cross, kernel, pull)
    teams = np.arange(cross.shape[1]).reshape(-1, blocks.width)  # the outputs of each
    size = max(1, MAX_BYTES // max(gram.nbytes, 1))
    orders, errors, values = [], [], np.zeros(cross.shape)
    for start in range(0, len(teams), size):
        outputs = teams[start : start + size]
        run = _weights if blocks.are_single else _teams
        own_present = present[:, outputs.ravel()]
        own_reach = None if reach is None else reach[:, outputs]
        order, rises, settled = run(problem, blocks, outputs, target, own_reach, own_present)
        orders.append(order)
        errors.append(rises)
        values[:, outputs] = settled
    return problem.result(blocks, np.concatenate(orders), np.concatenate(errors), values, present)


@dataclasses.dataclass(frozen=True, eq=False)
class Reader:
    """One of several layers that lose the same channels.

    Attributes:
        gram: float64 [P, P], G.
        cross: float64 [P, O], C.
        rows: int [P], the channel of each kernel row; -1 = never goes.
        energy: `||Y||_F^2`, > 0, what its error is relative to.
    """

    gram: np.ndarray
    cross: np.ndarray
    rows: np.ndarray
    energy: float


def eliminate_together(
    readers: Sequence[Reader], num_channels: int, *, pull: float = RIDGE, per_step: int = 1
) -> list[Elimination]:
    """Let the channels that several layers read go, in one order for all of them.

    At each step that channel goes whose losses, each relative to its layer's energy, add up to the
    least.

    Args:
        readers: the layers.
        num_channels: number of channels.
        pull: eps, towards zero, in units of the mean diagonal of each G; > 0.
        per_step: channels that go before the losses of the others are looked at again.

    Returns:
        For each layer, with the same order in all, its own errors and kernels.

    Raises:
        ValueError: if a layer's arrays do not fit one another, or `pull` is too small.

    Example:
        >>> grams = np.diag([9.0, 1.0, 4.0]), np.diag([1.0, 1.0, 0.0])
        >>> readers = [Reader(gram, gram, np.arange(3), np.trace(gram)) for gram in grams]
        >>> found = eliminate_together(readers, 3, pull=1e-9)
        >>> found[0].order, [each.errors.round(6).tolist() for each in found]
        (array([[2, 1, 0]]), [[[0.0, 4.0, 5.0, 14.0]], [[0.0, 0.0, 1.0, 2.0]]])
    """
    parts: list[tuple[Blocks, _Problem, Downdate]] = []
    for reader in readers:
        blocks = Blocks.channels(reader.rows, num_channels, reader.cross.shape[1])
        _check(reader.gram, reader.cross, blocks)
        problem = _Problem.of(reader.gram, reader.cross, None, pull)
        parts.append((blocks, problem, problem.downdate(blocks, np.arange(blocks.width)[None])))
    course = Course(Blocks(np.arange(num_channels), num_channels), 1, per_step=per_step)
    order, errors = course.run(
        [state for _, _, state in parts], [1.0 / reader.energy for reader in readers]
    )
    return [
        problem.result(blocks, order, rises, state.kernel[0], np.ones(problem.cross.shape, bool))
        for (blocks, problem, state), rises in zip(parts, errors, strict=True)
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class _Problem:
    """J with the pull in its moments, its inverse, and the kernel where it is minimal."""

    gram: np.ndarray
    cross: np.ndarray
    inverse: np.ndarray
    kernel: np.ndarray

    @classmethod
    def of(
        cls, gram: np.ndarray, cross: np.ndarray, old: np.ndarray | None, pull: float
    ) -> "_Problem":
        factor, ridge = factorised(gram, pull)
        identity = np.eye(len(gram))
        cross = cross + ridge * (0.0 if old is None else np.asarray(old, np.float64))
        inverse = scipy.linalg.cho_solve(factor, identity)
        return cls(gram + ridge * identity, cross, inverse, scipy.linalg.cho_solve(factor, cross))

    def downdate(self, blocks: Blocks, outputs: np.ndarray) -> Downdate:
        """Begin for the teams that consist of some outputs, int [T, width]."""
        return Downdate(self.inverse, self.kernel[:, outputs].swapaxes(0, 1), blocks.members)

    def result(
        self,
        blocks: Blocks,
        order: np.ndarray,
        errors: np.ndarray,
        values: np.ndarray,
        present: np.ndarray,
    ) -> Elimination:
        return Elimination(blocks, order, errors, self.gram, self.cross, values, present)


def _weights(
    problem: _Problem,
    blocks: Blocks,
    outputs: np.ndarray,
    target: Target | None,
    reach: np.ndarray | None,
    present: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let single weights of some outputs, int [T, 1], go: order, errors, values [P, T, 1]."""
    own = outputs[:, 0]
    start = single.Start(
        problem.gram, problem.cross[:, own], problem.inverse, problem.kernel[:, own], present
    )
    order, rises, kernel = single.run(
        start,
        blocks,
        aim=None if target is None else lambda values, rows: target(values, rows, outputs),
        reach=None if reach is None else reach[:, :, 0],
    )
    return order, rises, kernel[:, :, None]


def _teams(
    problem: _Problem,
    blocks: Blocks,
    outputs: np.ndarray,
    target: Target | None,
    reach: np.ndarray | None,
    present: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let blocks of some teams, int [T, width], go: order, errors, values [P, T, width]."""
    state = problem.downdate(blocks, outputs)
    rows = np.arange(len(problem.gram))[None, :, None]
    course = Course(
        blocks,
        len(outputs),
        aim=None if target is None else lambda kernels: target(kernels, rows, outputs[:, None, :]),
        reach=None if reach is None else reach.swapaxes(0, 1),
    )
    course.leave_out(state, _absent(present, blocks))
    order, (rises,) = course.run([state], [1.0])
    return order, rises, state.kernel.swapaxes(0, 1)


def _absent(present: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Say which blocks are not there: boolean [T, B]."""
    num_teams = present.shape[1] // blocks.width
    missing = ~present.reshape(len(present), num_teams, blocks.width)
    real = (blocks.members >= 0)[:, :, None, None]
    parts = missing[blocks.members]  # [B, c, T, width]
    some, whole = (parts & real).any(axis=(1, 3)), (parts | ~real).all(axis=(1, 3))
    if (some & ~whole).any():
        raise ValueError("`present` must be the same within each block.")
    return some.T


def _check(gram: np.ndarray, cross: np.ndarray, blocks: Blocks) -> None:
    num_rows = blocks.rows.size
    if gram.shape != (num_rows, num_rows) or cross.ndim != 2 or len(cross) != num_rows:
        raise ValueError(
            f"For {num_rows} rows `gram` must be {(num_rows, num_rows)} and `cross` "
            f"({num_rows}, outputs). Received: {gram.shape} and {cross.shape}."
        )
    if cross.shape[1] % blocks.width:
        raise ValueError(
            f"{blocks.width} outputs that go together must divide {cross.shape[1]} outputs."
        )
