"""Kernels as a search problem: choices and costs from the layers, scores from the tables.

Costs are counted: each layer's grows in a line with its choice (weights that stay; bits times
weights). A budget for the bytes of a file needs a meter, which measures a candidate's file.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from learners.base import AbstractLearner
from learners.budget import Budget
from learners.kernels.layers import KernelLayer
from learners.kernels.tables import KernelTables, lookup
from learners.quantity import QUANTITIES
from learners.search.budget import ChoiceBudget
from learners.search.choices import ChoiceLayer, CostModel, polish
from learners.search.config import RolloutConfig
from learners.search.problem import BudgetedProblem
from learners.search.rewards import Score, refuse_blind
from learners.search.scoring import NetworkScorer, held_out_images
from utils.graph import Graph


class LinearCost:
    """A counted kind of cost: `constant + sum(units * values)`.

    Args:
        kind: what is counted, a key of `learners.budget.KINDS`.
        units: float [layers], what one unit of each layer's choice costs.
        constant: what is not up for choice.

    Example:
        >>> LinearCost("bits", np.array([10.0, 4.0]), 64.0)(np.array([[8, 2], [4, 4]]))
        {'bits': array([152., 120.])}
    """

    def __init__(self, kind: str, units: np.ndarray, constant: float) -> None:
        self.kind = kind
        self.units = np.asarray(units, np.float64)
        self.constant = constant

    def __call__(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Count candidates int [n, layers]: kind -> float64 [n]."""
        return {self.kind: self.constant + np.asarray(values) @ self.units}


def choice_layers(
    layers: Sequence[KernelLayer], choices: Mapping[str, tuple[int, ...]]
) -> list[ChoiceLayer]:
    """Describe kernels as layers with choices, for a search.

    Args:
        layers: the kernels.
        choices: of each, by name.
    """
    return [ChoiceLayer(la.name, choices[la.name], la.shapes[0], la.size) for la in layers]


class KernelScorer:
    """Scores candidates: kernels are looked up and assigned to one network.

    Args:
        tables: the kernels.
        network: the network's weights are assigned; scores it.

    Attributes:
        tables: as given.
    """

    def __init__(self, tables: KernelTables, network: NetworkScorer) -> None:
        self.tables = tables
        self._network = network

    def __call__(self, values: Mapping[str, int]) -> Score:
        """Score a candidate: layer name -> its choice."""
        return self._network.score(lookup(self.tables, values, self._network.original))


class KernelProblem(BudgetedProblem):
    """Implements `learners.search.problem.Problem`.

    Args:
        choices: layers, choices, costs; its quantity is what is searched.
        make_scorer: called at the first score, because its tables take a while and a finished
            search needs none.
        config: the flags of the search.
        num_sampled: training images that the tables are taken from.

    Attributes:
        make_start: makes a candidate that is tried right after the uniform one, layer name -> its
            value, which need not be a choice nor meet the budget; called when a search begins.
            None: there is no such candidate.
    """

    def __init__(
        self,
        choices: ChoiceBudget,
        make_scorer: Callable[[], KernelScorer],
        config: RolloutConfig,
        *,
        num_sampled: int = 0,
    ) -> None:
        super().__init__(choices.budget, config, num_sampled=num_sampled)
        self._choices = choices
        self._make_scorer = make_scorer
        self.make_start: Callable[[], Mapping[str, int]] | None = None

    @property
    def choices(self) -> ChoiceBudget:
        """The layers, their choices and what they cost."""
        return self._choices

    @functools.cached_property
    def _scorer(self) -> KernelScorer:
        return self._make_scorer()

    def starts(self) -> list[np.ndarray]:
        """Give the candidate to start from, each layer at its nearest choice, on the budget."""
        if self.make_start is None:
            return []
        wanted = self.make_start()
        nearest = [min(la.choices, key=lambda c: abs(c - wanted[la.name])) for la in self.layers]
        return [polish(np.array(nearest), self.layers, self.load, floor=self.floor)]

    def score(self, values: np.ndarray) -> Score:
        """Score a candidate on the held-out images."""
        return self._scorer(self.choices.by_name(values))

    def errors(self) -> list[np.ndarray]:
        """Look up the layers' errors."""
        tables = self._scorer.tables
        return [tables.errors(layer.name) for layer in self.layers]


def kernel_problem(
    learner: AbstractLearner,
    graph: Graph,
    layers: Sequence[ChoiceLayer],
    cost: CostModel,
    budget: Budget,
    make_tables: Callable[[], KernelTables],
    *,
    num_sampled: int,
    hint: str = "",
) -> KernelProblem:
    """Make the problem of a learner's search.

    Args:
        learner: its config has `searching`; its stage's entry says what is chosen.
        graph: the untouched network.
        layers: what is chosen for, see `choice_layers`.
        cost: of candidates; the first kind of the quantity is always among its kinds.
        budget: what may be kept.
        make_tables: samples and computes; its choices are those of `layers`.
        num_sampled: training images that it takes.
        hint: what else can be done about a budget out of reach.

    Returns:
        The problem.

    Raises:
        InputError: the budget cannot be met; gives the reachable range.
    """
    quantity = learner.context.stage.entry.quantity
    if quantity not in QUANTITIES:
        raise ValueError(f"the learner must choose one of {list(QUANTITIES)}. Received: {quantity}")

    def make_scorer() -> KernelScorer:
        config = learner.config.searching
        with learner.timed("tables"):
            tables = make_tables()
        images, _ = held_out_images(learner.helper, config.nb_smpls_search, num_sampled)
        network = NetworkScorer(graph, learner.helper, images)
        refuse_blind(network.whole(), config.reward_policy)
        return KernelScorer(tables, network)

    choices = ChoiceBudget(quantity, layers, cost, budget, hint=hint)
    return KernelProblem(choices, make_scorer, learner.config.searching, num_sampled=num_sampled)
