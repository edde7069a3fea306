"""The dynamic programme over a table of errors: the agent `dp`.

The table is each layer's least-squares error at every choice, in closed form, brought to one scale
by a few losses (`calibration.py`). Its exact answer within the budget (`knapsack.py`,
`allocation.py`) is the first proposal; then the table's weights are searched (`weights.py`).

Reference:
    Frantar & Alistarh, "SPDY: Accurate Pruning with Speedup Guarantees", ICML 2022,
    arXiv:2201.13096, sections 3.1 and 3.2.

Departs from the paper: errors are not the ordinal "(remaining weights / all)^2" prior but
closed-form errors on a scale of measured losses; costs need not be additive; the weights start at
the table's own and are disturbed on a logarithmic scale, where the paper starts at random ones and
draws single weights anew.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from learners.search.allocation import Allocator
from learners.search.calibration import calibrated_errors
from learners.search.problem import Problem
from learners.search.weights import TableAgent


class DpAgent(TableAgent):
    """The exact answer of a calibrated table, with searched weights.

    Args:
        num_layers: see `Agent`.
        state_dim: see `Agent`.
        problem: what is searched.
        around: the candidate around which costs are linearised, int [layers].
        **options: `seed`, `num_rollouts`, `initial`, see `Agent`.
    """

    def __init__(
        self,
        num_layers: int,
        state_dim: int,
        *,
        problem: Problem,
        around: np.ndarray,
        **options: Any,
    ) -> None:
        super().__init__(num_layers, state_dim, problem=problem, around=around, **options)
        self._allocator: Allocator | None = None

    def make_table(self) -> list[np.ndarray]:
        """Calibrate the closed-form errors."""
        return calibrated_errors(self._problem)

    def answer(self, table: Sequence[np.ndarray]) -> np.ndarray:
        """Solve the dynamic programme."""
        if self._allocator is None:
            problem = self._problem
            self._allocator = Allocator(
                problem.layers, problem.load, self._around, floor=problem.floor
            )
        return self._allocator(table)
