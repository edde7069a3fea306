"""The agents: one literal table, `--agent` value -> where it lives; loaded only when chosen.

Agents know vectors and rewards, nothing of compression. A new agent is a subclass of
`rl_agents.base.Agent` (or `VectorAgent`), one row in `AGENTS` and one in
`docs/reinforcement_learning.md`; the contract tests in `tests/rl_agents/base_test.py` take it from
the table.
"""

import importlib
from typing import TYPE_CHECKING, Any

from utils.errors import InputError
from utils.flags import nearest

if TYPE_CHECKING:
    from rl_agents.base import Agent

AGENTS: dict[str, str] = {
    "ddpg": "rl_agents.ddpg.agent:DdpgAgent",
    "tpe": "rl_agents.optuna_agents:TpeAgent",
    "cma-es": "rl_agents.optuna_agents:CmaEsAgent",
    "evolution": "rl_agents.evolution:EvolutionAgent",
    "random": "rl_agents.random_agent:RandomAgent",
}


def agent_class(name: str) -> "type[Agent]":
    """Import the class of an agent by its `--agent` name.

    Raises:
        InputError: for an unknown name; lists the valid ones.
    """
    if name not in AGENTS:
        raise InputError(f"Unknown agent {name!r} in --agent. {nearest(name, AGENTS)}")
    module, _, attribute = AGENTS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def create_agent(name: str, num_layers: int, state_dim: int, **options: Any) -> "Agent":
    """Make an agent by name.

    Args:
        name: a key of `AGENTS`.
        num_layers: actions per roll-out.
        state_dim: length of the environment's state vector.
        **options: `seed`, `config`, `num_rollouts`, `initial`: see `rl_agents.base.Agent`.

    Returns:
        The agent, before its first roll-out.

    Raises:
        InputError: unknown name, or a package that the agent needs is not installed.

    Example:
        >>> create_agent("random", 3, 1, seed=7).num_layers
        3
    """
    return agent_class(name)(num_layers, state_dim, **options)
