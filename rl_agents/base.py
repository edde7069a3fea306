"""What every agent is: `ask` for a roll-out, `tell` its reward.

    agent = DdpgAgent(num_layers=env.num_layers, state_dim=env.state_dim, seed=1)
    for _ in range(num_rollouts):
        actions = agent.ask(env)
        agent.tell(actions, score(actions))

A roll-out is one candidate: one action in [0, 1] per layer. The environment may clip an action (so
that a budget stays reachable) and returns what it really applied; only that is learned from.

Roll-out `i` draws from `numpy.random.default_rng([seed, i, …])` and nothing else, so `ask` twice
without `tell` gives the same actions, and an agent restored with `load_state_dict` goes on exactly
as the killed one would have.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Policy = Callable[[int, np.ndarray], float]
"""(layer index, state [state_dim]) -> action in [0, 1]."""

# Independent streams of one roll-out: proposing actions, and learning from them afterwards.
ASK_STREAM, TELL_STREAM = 0, 1


class Environment(Protocol):
    """What an agent steps through: layer after layer, `num_layers` times.

    Attributes:
        num_layers: steps of a roll-out.
        state_dim: length of a state vector.
    """

    num_layers: int
    state_dim: int

    def reset(self) -> np.ndarray:
        """Start a roll-out; return the first state, [state_dim]."""

    def step(self, action: float) -> tuple[np.ndarray, float, bool]:
        """Apply an action in [0, 1].

        Returns:
            (next state [state_dim], the action really applied, whether nothing that comes later
            can earn reward any more).
        """


@dataclasses.dataclass(frozen=True)
class Walk:
    """One walk through the environment: what an agent learns from.

    Attributes:
        states: float32 [num_layers, state_dim].
        actions: float64 [num_layers], as applied by the environment.
        next_states: float32 [num_layers, state_dim].
        terminals: float32 [num_layers], 1 where nothing can follow.
    """

    states: np.ndarray
    actions: np.ndarray
    next_states: np.ndarray
    terminals: np.ndarray


def walk(env: Environment, policy: Policy) -> Walk:
    """Step a policy through the whole environment.

    Args:
        env: the environment; it is reset first.
        policy: gives the action for a layer and its state.

    Returns:
        What happened.

    Raises:
        ValueError: the environment broke its contract (a wrong or non-finite state, an applied
            action outside [0, 1], an end before the last layer).
    """
    num_layers = env.num_layers
    states = np.empty((num_layers + 1, env.state_dim), np.float32)
    actions = np.empty(num_layers)
    terminals = np.zeros(num_layers, np.float32)
    states[0] = _checked_state(env.reset(), env.state_dim, 0)
    for index in range(num_layers):
        state, applied, done = env.step(policy(index, states[index]))
        states[index + 1] = _checked_state(state, env.state_dim, index + 1)
        if not 0.0 <= applied <= 1.0:
            raise ValueError(
                f"The environment must apply an action in [0, 1]. Received: {applied!r} at step "
                f"{index}."
            )
        actions[index], terminals[index] = applied, done
        if done and index + 1 < num_layers:
            raise ValueError(
                f"The environment ended after step {index}; a roll-out has {num_layers} steps "
                "(`num_layers`)."
            )
    return Walk(states[:-1], actions, states[1:], terminals)


def _checked_state(state: Any, state_dim: int, index: int) -> np.ndarray:
    array = np.asarray(state, np.float32)
    if array.shape != (state_dim,) or not np.isfinite(array).all():
        raise ValueError(
            f"State {index} of the environment must be {state_dim} finite numbers (`state_dim`). "
            f"Received: shape {array.shape}, finite: {bool(np.isfinite(array).all())}."
        )
    return array


class Agent(abc.ABC):
    """Base of all agents: the shared loop, checks, reward clean-up and state.

    Args:
        num_layers: actions per roll-out.
        state_dim: length of the environment's state vector.
        seed: everything random comes from it, >= 0.
        config: the agent's own config dataclass; agents without settings ignore it.
        num_rollouts: how many roll-outs are planned; schedules and populations are sized by it.
        initial: action vectors [num_layers] in [0, 1], e.g. the uniform choice, tried first.

    Raises:
        ValueError: sizes, seed or an initial vector out of range.
    """

    def __init__(
        self,
        num_layers: int,
        state_dim: int,
        *,
        seed: int = 0,
        config: Any = None,
        num_rollouts: int = 200,
        initial: Sequence[np.ndarray] = (),
    ) -> None:
        sizes = {"num_layers": num_layers, "state_dim": state_dim, "num_rollouts": num_rollouts}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}.")
        if seed < 0:
            raise ValueError(f"`seed` must be 0 or larger. Received: {seed}.")
        self.num_layers = num_layers
        self.state_dim = state_dim
        self.seed = seed
        self.config = config
        self.num_rollouts = num_rollouts
        self.initial = tuple(self._checked_actions(vector) for vector in initial)
        self.num_told = 0
        self._worst = math.nan
        self._pending: Walk | None = None

    def ask(self, env: Environment) -> np.ndarray:
        """Walk through the environment and return the actions it applied.

        Args:
            env: the environment of this roll-out.

        Returns:
            float64 [num_layers], in [0, 1].

        Raises:
            ValueError: the environment has other sizes than the agent, or broke its contract.
        """
        if (env.num_layers, env.state_dim) != (self.num_layers, self.state_dim):
            raise ValueError(
                f"The agent was made for {self.num_layers} layers and states of {self.state_dim} "
                f"numbers. Received: an environment of {env.num_layers} and {env.state_dim}."
            )
        if self.num_told < len(self.initial):
            policy = follow(self.initial[self.num_told])
        else:
            policy = self._policy(self.generator(ASK_STREAM))
        self._pending = walk(env, policy)
        return self._pending.actions.copy()

    def tell(self, actions: np.ndarray, rewards: float | Sequence[float] | np.ndarray) -> None:
        """Learn from the roll-out that `ask` made last.

        Args:
            actions: the actions that were scored, [num_layers]: what `ask` returned, or what was
                applied instead.
            rewards: one number for the whole roll-out, or one per step. A number that is not
                finite (a failed trial) counts as the worst seen so far; while there is none, the
                roll-out is only counted.

        Raises:
            ValueError: no `ask` before, or a wrong number of actions or rewards.
        """
        if self._pending is None:
            raise ValueError("`tell` needs a roll-out: call `ask` first, once for every `tell`.")
        actions = self._checked_actions(actions)
        rewards = self._clean_rewards(rewards)
        rollout = dataclasses.replace(self._pending, actions=actions)
        if np.isfinite(rewards).all():
            self._learn(rollout, rewards)
        self.num_told += 1
        self._pending = None

    def diagnostics(self) -> dict[str, float]:
        """Figures worth logging beside the reward; empty for most agents."""
        return {}

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything learned so far, as named arrays (`numpy.savez` takes them, without pickle).

        A roll-out between `ask` and `tell` is not in it: the restored agent asks it again and gets
        the same actions.
        """
        return {
            "num_told": np.array(self.num_told),
            "worst": np.array(self._worst),
            **self._state(),
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue where the agent that gave `state` was.

        Args:
            state: from `state_dict` of an agent with the same constructor arguments.

        Raises:
            ValueError: the state is another agent's or of another size; names the first difference.
        """
        own = self.state_dict()
        if missing := sorted(own.keys() ^ state.keys()):
            raise ValueError(
                f"The saved agent state does not belong to a {type(self).__name__}: "
                f"{missing[0]!r} is in only one of them. Use the same agent, or start anew."
            )
        for name, array in own.items():
            found = state[name]
            if (found.dtype.kind, found.ndim) != (array.dtype.kind, array.ndim):
                raise ValueError(
                    f"The saved agent state has {name!r} as {found.dtype} of {found.ndim} axes; a "
                    f"{type(self).__name__} has {array.dtype} of {array.ndim}."
                )
        self._load(state)
        self.num_told = int(state["num_told"])
        self._worst = float(state["worst"])
        self._pending = None

    def generator(self, *stream: int) -> np.random.Generator:
        """The random numbers of the current roll-out: a pure function of (seed, i, stream)."""
        return np.random.default_rng([self.seed, self.num_told, *stream])

    @abc.abstractmethod
    def _policy(self, generator: np.random.Generator) -> Policy:
        """Give the policy of the current roll-out; must not change the agent."""

    @abc.abstractmethod
    def _learn(self, rollout: Walk, rewards: np.ndarray) -> None:
        """Learn from a scored roll-out; rewards: finite float64 [num_layers]."""

    @abc.abstractmethod
    def _state(self) -> dict[str, np.ndarray]:
        """The agent's own part of `state_dict`."""

    @abc.abstractmethod
    def _load(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `_state` gave; raise ValueError when it does not fit."""

    def _checked_actions(self, actions: Any) -> np.ndarray:
        array = np.array(actions, np.float64)
        if array.shape != (self.num_layers,) or not ((array >= 0.0) & (array <= 1.0)).all():
            raise ValueError(
                f"Actions must be {self.num_layers} numbers in [0, 1], one per layer. Received: "
                f"{np.array2string(array, precision=3, threshold=8)}."
            )
        return array

    def _clean_rewards(self, rewards: Any) -> np.ndarray:
        array = np.asarray(rewards, np.float64)
        if array.shape not in ((), (self.num_layers,)):
            raise ValueError(
                f"`rewards` must be one number or {self.num_layers}, one per step. Received: shape "
                f"{array.shape}."
            )
        finite = array[np.isfinite(array)]
        if finite.size:
            self._worst = float(np.fmin(self._worst, finite.min()))
        cleaned = np.where(np.isfinite(array), array, self._worst)
        return np.broadcast_to(cleaned, (self.num_layers,)).copy()


class VectorAgent(Agent):
    """Base of the agents that propose all actions of a roll-out at once."""

    @abc.abstractmethod
    def _propose(self, generator: np.random.Generator) -> np.ndarray:
        """Propose actions [num_layers] in [0, 1]; must not change the agent."""

    def _policy(self, generator: np.random.Generator) -> Policy:
        return follow(self._propose(generator))


def follow(actions: np.ndarray) -> Policy:
    """Make the policy that plays a fixed action vector, whatever the states.

    Example:
        >>> follow(np.array([0.25, 0.5]))(1, np.zeros(3))
        0.5
    """

    def policy(index: int, state: np.ndarray) -> float:
        return float(actions[index])

    return policy
