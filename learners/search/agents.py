"""The agents: one literal table, `--agent` value -> where it lives; loaded only when chosen.

Most know only vectors and rewards (`rl_agents`). Some need the problem itself: its choices, its
costs, its tables. A new agent is a subclass of `rl_agents.base.Agent`, one row in `AGENTS` and one
in `docs/reinforcement_learning.md`; the contract tests take it from the table.
"""

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

from utils.errors import InputError
from utils.flags import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from learners.search.environment import BudgetEnvironment
    from learners.search.problem import Problem
    from rl_agents.base import Agent


class Entry(NamedTuple):
    """One agent of the table.

    Attributes:
        agent: where its class lives, as `module:Class`.
        needs_problem: it is given the problem and the candidate that is tried first, beside what
            all agents get. Such an agent always uses the budget up.
        config: the group of `RunConfig` with its flags; None for an agent without.
    """

    agent: str
    needs_problem: bool = False
    config: str | None = None


AGENTS: dict[str, Entry] = {
    "dp": Entry("learners.search.dp:DpAgent", needs_problem=True),
    "greedy": Entry("learners.search.greedy:GreedyAgent", needs_problem=True),
    "ddpg": Entry("rl_agents.ddpg.agent:DdpgAgent", config="ddpg"),
    "tpe": Entry("rl_agents.optuna_agents:TpeAgent"),
    "cma-es": Entry("rl_agents.optuna_agents:CmaEsAgent"),
    "evolution": Entry("rl_agents.evolution:EvolutionAgent"),
    "random": Entry("rl_agents.random_agent:RandomAgent"),
}
DEFAULT_AGENT = "greedy"
MULTI_OBJ_AGENT = "evolution"  # one that may stay below the budget


def default_agent(reward_type: str, usual: str = DEFAULT_AGENT) -> str:
    """Say who searches where `--agent` does not.

    Args:
        reward_type: of the search.
        usual: with candidates that use the budget up.
    """
    return MULTI_OBJ_AGENT if reward_type == "multi-obj" else usual


def agent_class(name: str) -> "type[Agent]":
    """Import the class of an agent by its `--agent` name.

    Raises:
        InputError: for an unknown name; lists the valid ones.
    """
    if name not in AGENTS:
        raise InputError(f"Unknown agent {name!r} in --agent. {nearest(name, AGENTS)}")
    module, _, attribute = AGENTS[name].agent.partition(":")
    return getattr(importlib.import_module(module), attribute)


def create_agent(name: str, num_layers: int, state_dim: int, **options: Any) -> "Agent":
    """Make an agent by name.

    Args:
        name: a key of `AGENTS`.
        num_layers: actions per roll-out.
        state_dim: length of the environment's state vector.
        **options: `seed`, `config`, `num_rollouts`, `initial`: see `rl_agents.base.Agent`; for
            one that needs them `problem` and `around`: see `problem_agent`.

    Returns:
        The agent, before its first roll-out.

    Raises:
        InputError: unknown name, or a package that the agent needs is not installed.

    Example:
        >>> create_agent("random", 3, 1, seed=7).num_layers
        3
    """
    return agent_class(name)(num_layers, state_dim, **options)


def problem_agent(
    name: str,
    problem: "Problem",
    env: "BudgetEnvironment",
    *,
    initial: "np.ndarray",
    starts: "Sequence[np.ndarray]" = (),
    **options: Any,
) -> "Agent":
    """Make an agent for a problem.

    Args:
        name: a key of `AGENTS`.
        problem: what is searched.
        env: what the agent will step through.
        initial: the candidate that is tried first, int [layers].
        starts: those that are tried next.
        **options: `seed`, `num_rollouts`, `config`, see `rl_agents.base.Agent`.

    Returns:
        The agent, before its first roll-out.

    Raises:
        InputError: see `create_agent`.
    """
    agent = agent_class(name)
    options["initial"] = [env.actions(values) for values in (initial, *starts)]
    if AGENTS[name].needs_problem:
        options |= {"problem": problem, "around": initial}
    return agent(env.num_layers, env.state_dim, **options)
