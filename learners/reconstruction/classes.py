"""The last layer of a classifier, fitted to the distributions over classes of the network before.

Where the layers in front give other features than before, least squares on the scores spends itself
on what moves no decision: by how much a class is ruled out that nobody would take. So the weights
that are left of the last layer, and its offset b, then minimize

    T^2 mean KL(softmax(y / T) || softmax((x W + b) / T)) + eps / 2 ||W - W_0||_F^2            (1)

over the sampled rows x and the scores y before: distillation (Hinton et al., equation (4)) of one
linear layer, which is convex. W_0 is the least-squares kernel. eps is chosen on the last fifth of
the rows, which the others do not see; where none is better than W_0 there, that stays. Entries of
W_0 that are zero stay so, unless all are.

Reference:
    Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531.
    Departs from the paper: the last layer alone, and no labels.
"""

import dataclasses

import numpy as np
import scipy.optimize
import scipy.special

from utils.graph import Graph, Node, ops
from utils.graph.endings import LINEAR, SOFTMAX, endings
from utils.graph.ops_weighted import is_linear

TEMPERATURE = 4.0  # as that of distillation with weights of many bits
FEWEST_ROWS = 50  # below, nothing is fitted
_PULLS = (1.0, 0.1, 0.01, 0.001)  # eps, in mean squares of an input
_PART = 5  # one row of so many is held out
_MIN_STEPS, _MAX_STEPS = 10, 200
_MAX_PRODUCTS = 1e11  # of one fit


def scoring_node(graph: Graph, *, has_classes: bool) -> str | None:
    """Find the layer whose sums are the scores of classes: the network's output, or its softmax's.

    Args:
        graph: the network.
        has_classes: an output without a softmax is known to be such scores.

    Returns:
        The name of its node; None where there is none.
    """
    if len(graph.outputs) != 1:
        return None
    (ending,) = endings(graph)
    node = graph.node(graph.outputs[0].node)
    if ending.kind == SOFTMAX and ending.axis in (-1, len(ending.shape) - 1):
        if not _has_kernel(graph, node) and len(node.inputs) == 1:
            node = graph.node(node.inputs[0].node)
            if not is_linear(node) or len(graph.consumers(node.name)) > 1:
                return None
    elif ending.kind != LINEAR or not has_classes:
        return None
    is_scores = _has_kernel(graph, node) and node.output_shapes[0][-1] not in (None, 1)
    return node.name if is_scores else None


def _has_kernel(graph: Graph, node: Node) -> bool:
    row = ops.find(graph, node)
    return row is not None and row.window is not None


@dataclasses.dataclass(frozen=True, eq=False)
class LinearScores:
    """Scores `x W + b`.

    Attributes:
        kernel: W, float64 [P, O].
        offset: b, float64 [O].
    """

    kernel: np.ndarray
    offset: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Compute the scores of rows [n, P]: float64 [n, O]."""
        return rows @ self.kernel + self.offset


def fit_scores(
    rows: np.ndarray, scores: np.ndarray, start: LinearScores, *, centred: bool
) -> LinearScores:
    """Minimize (1).

    Args:
        rows: float [n, P], x.
        scores: float [n, O], y.
        start: W_0, and the offset to begin with.
        centred: the offset may change.

    Returns:
        Kernel and offset; `start` where it is the best on the rows that are held out, or the rows
        are too few.

    Example:
        >>> x = np.random.default_rng(0).uniform(-1.0, 1.0, (100, 1))
        >>> start = LinearScores(np.array([[0.5, 1.0]]), np.zeros(2))
        >>> found = fit_scores(x, x @ [[0.0, 4.0]], start, centred=True)
        >>> round(float(found.kernel[0, 1] - found.kernel[0, 0]), 1)
        4.0
    """
    if len(rows) < FEWEST_ROWS:
        return start
    rows, wanted = rows.astype(np.float64), _shares(scores.astype(np.float64))
    seen = len(rows) - len(rows) // _PART
    held_out = _Objective(rows[seen:], wanted[seen:], start, 0.0, centred)
    best, least = None, held_out.divergence(start)
    scale, found = float(np.mean(rows**2)), start
    for pull in _PULLS:
        objective = _Objective(rows[:seen], wanted[:seen], start, pull * scale, centred)
        found = objective.minimum(found)
        divergence = held_out.divergence(found)
        if divergence >= least:
            break  # on this path what follows fits the rows that are seen, and no others
        best, least = pull, divergence
    if best is None:
        return start
    return _Objective(rows, wanted, start, best * scale, centred).minimum(start)


def _shares(scores: np.ndarray) -> np.ndarray:
    return scipy.special.softmax(scores / TEMPERATURE, axis=1)


class _Objective:
    """(1) on some rows."""

    def __init__(
        self,
        rows: np.ndarray,
        wanted: np.ndarray,
        start: LinearScores,
        pull: float,
        centred: bool,
    ) -> None:
        self._rows, self._wanted = rows, wanted
        self._start, self._pull = start, pull
        is_free = (start.kernel != 0.0) | (not start.kernel.any())
        free = [is_free.ravel(), np.full(start.offset.size, centred)]
        self._free = np.concatenate(free).astype(np.float64)

    def divergence(self, scores: LinearScores) -> float:
        """T^2 times the cross-entropy, which differs from the divergence by a constant."""
        logs = scipy.special.log_softmax(scores.of(self._rows) / TEMPERATURE, axis=1)
        return float(-(TEMPERATURE**2) * np.sum(self._wanted * logs) / len(self._rows))

    def minimum(self, begin: LinearScores) -> LinearScores:
        """Minimize, from a point on."""
        products = 4.0 * self._rows.size * begin.offset.size
        found = scipy.optimize.minimize(
            self._value_and_slope,
            np.concatenate([begin.kernel.ravel(), begin.offset]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": int(np.clip(_MAX_PRODUCTS / products, _MIN_STEPS, _MAX_STEPS))},
        )
        return self._read(found.x)

    def _read(self, values: np.ndarray) -> LinearScores:
        kernel, offset = np.split(values, [self._start.kernel.size])
        return LinearScores(kernel.reshape(self._start.kernel.shape), offset)

    def _value_and_slope(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        scores = self._read(values)
        logs = scipy.special.log_softmax(scores.of(self._rows) / TEMPERATURE, axis=1)
        slopes = TEMPERATURE * (np.exp(logs) - self._wanted) / len(self._rows)
        gap = scores.kernel - self._start.kernel
        value = -(TEMPERATURE**2) * np.sum(self._wanted * logs) / len(self._rows)
        value += self._pull / 2.0 * np.sum(gap**2)
        of_kernel = self._rows.T @ slopes + self._pull * gap
        slope = np.concatenate([of_kernel.ravel(), slopes.sum(axis=0)]) * self._free
        return float(value), slope
