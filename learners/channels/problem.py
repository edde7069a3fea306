"""Channel counts as a search problem: choices and cost from the budget, scores from the tables."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from learners.base import AbstractLearner
from learners.budget import Budget
from learners.channels.budget import ChannelBudget
from learners.channels.groups import channel_budget
from learners.channels.scoring import make_scorer
from learners.channels.tables import ChannelTables
from learners.reconstruction.sampling import Sampler
from learners.search.config import RolloutConfig
from learners.search.journal import search_folder
from learners.search.problem import BudgetedProblem
from learners.search.rewards import Score
from utils.graph import ChannelGroup, Graph


class Scorer(Protocol):
    """What scores counts, see `ChannelScorer`."""

    @property
    def tables(self) -> ChannelTables:
        """What it looks up."""

    def __call__(self, counts: Mapping[str, int]) -> Score:
        """Score a candidate: group name -> channels that stay."""


class ChannelProblem(BudgetedProblem):
    """Implements `learners.search.problem.Problem`.

    Args:
        budget: what may be kept.
        make_choices: sets the budget up for the groups; called when they are first asked for,
            because that of a latency is measured.
        make_scorer: makes the function from counts to a score; called at the first score, because
            its tables take a while and a finished search needs none.
        config: the flags of the search.
        num_sampled: training images that the tables are taken from.
    """

    def __init__(
        self,
        budget: Budget,
        make_choices: Callable[[], ChannelBudget],
        make_scorer: Callable[[], Scorer],
        config: RolloutConfig,
        *,
        num_sampled: int = 0,
    ) -> None:
        super().__init__(budget, config, num_sampled=num_sampled)
        self._make_choices = make_choices
        self._make_scorer = make_scorer

    @functools.cached_property
    def choices(self) -> ChannelBudget:
        """The groups, their counts and what they cost."""
        return self._make_choices()

    @functools.cached_property
    def _scorer(self) -> Scorer:
        return self._make_scorer()

    def score(self, values: np.ndarray) -> Score:
        """Score a candidate on the held-out images."""
        return self._scorer(self.choices.by_name(values))

    def errors(self) -> list[np.ndarray]:
        """Look up the least-squares errors of the layers that read each group."""
        tables = self._scorer.tables
        return [tables.errors(layer.name)[np.array(layer.choices) - 1] for layer in self.layers]


def channel_problem(
    learner: AbstractLearner,
    graph: Graph,
    groups: Sequence[ChannelGroup],
    budget: Budget,
    make_sampler: Callable[[], Sampler],
    *,
    num_sampled: int,
) -> ChannelProblem:
    """Make the problem of a learner's search.

    Args:
        learner: its config has `searching`, `channel_search` and `criterion`.
        graph: the whole network.
        groups: the groups that are chosen for.
        budget: what may be kept.
        make_sampler: draws the training images for the tables.
        num_sampled: how many that are.

    Returns:
        The problem; what it measures is kept beside the search for a resumed run.
    """
    config, context = learner.config, learner.context
    costs = search_folder(context.stage.artefact_path) / "search_costs.json"
    if not context.run.resume:
        costs.unlink(missing_ok=True)
    return ChannelProblem(
        budget,
        lambda: channel_budget(graph, groups, config, budget, costs),
        lambda: make_scorer(learner, graph, groups, make_sampler()),
        config.searching,
        num_sampled=num_sampled,
    )
