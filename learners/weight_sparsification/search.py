"""The search of `optimal`: each layer at every sparsity, in closed form, and what that costs."""

from collections.abc import Callable

import numpy as np

from learners.base import AbstractLearner
from learners.budget import Budget, Limit
from learners.kernels.problem import KernelProblem, LinearCost, choice_layers, kernel_problem
from learners.kernels.tables import KernelTables
from learners.reconstruction.sampling import Sampler
from learners.weight_sparsification.allocate import Counts
from learners.weight_sparsification.targets import Targets
from learners.weight_sparsification.versions import SparseVersions
from utils.graph import Graph, complexity
from utils.progress import WorkProgress


def sparse_problem(
    learner: AbstractLearner,
    graph: Graph,
    targets: Targets,
    left: int,
    make_sampler: Callable[[], Sampler],
    make_shares: Callable[[], Counts],
) -> KernelProblem:
    """Make the problem of a learner's search.

    Args:
        learner: its config has `searching`, `grain` and `nb_smpls`.
        graph: the network.
        targets: its kernels that are up for pruning.
        left: weights of these that stay in all.
        make_sampler: draws the training images for the tables.
        make_shares: computes the shares that are tried right after one ratio for all.

    Returns:
        The problem.

    Raises:
        InputError: the budget cannot be met; gives the reachable range.
    """
    config = learner.config
    method = SparseVersions(config.grain, 1.0 - left / sum(targets.sizes.values()))
    choices = {la.name: method.choices(la, la.matrix(graph.params)) for la in targets.layers}

    def make_tables() -> KernelTables:
        around = problem.choices.by_name(problem.uniform())
        with WorkProgress("computing tables", "layers") as progress:
            return KernelTables(
                graph,
                targets.layers,
                make_sampler(),
                method,
                around=around,
                on_layer=progress.update,
            )

    problem = kernel_problem(
        learner,
        graph,
        choice_layers(targets.layers, choices),
        LinearCost("nonzeros", np.ones(len(targets.layers)), float(targets.nonzeros)),
        _budget(learner, targets, left, complexity(graph).nonzeros),
        make_tables,
        num_sampled=config.nb_smpls,
        hint="fewer --ws_skip_* flags",
    )
    problem.make_start = make_shares
    return problem


def _budget(learner: AbstractLearner, targets: Targets, left: int, full: int) -> Budget:
    """Give the run's budget; else one for the ratio of the flags, which counts `targets` alone."""
    context = learner.context
    if context.run.budget is not None and context.budget is not None:
        return context.budget
    amount = float(targets.nonzeros + left)
    return Budget(f"nonzeros:{amount / full:.4f}", (Limit("nonzeros", amount=amount),))
