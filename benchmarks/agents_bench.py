"""Agents: DDPG on Pendulum and move-to-target, all agents on a toy budget, the cost of an update.

The problems are those of `rl_agents/problems.py`. Each proof is run with three seeds; targets are
for the worst of them.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks import Context, Row, in_turns

if TYPE_CHECKING:
    import numpy as np

    from rl_agents.base import Agent
    from rl_agents.problems import Problem

SOURCES = ("rl_agents", "learners/search/agents.py")
NUM_SEEDS = 3
UPDATES_PER_CALL = 15  # a roll-out over 15 layers, one update each
BATCH_SIZE, STATE_DIM = 64, 30


def _agent(name: str, problem: Problem, num_rollouts: int, seed: int, **options: Any) -> Agent:
    from learners.search.agents import create_agent

    sizes = (problem.num_layers, problem.state_dim)
    return create_agent(name, *sizes, seed=seed, num_rollouts=num_rollouts, **options)


def pendulum(context: Context) -> dict[str, object]:
    """Swing up Gymnasium's Pendulum-v1: 150 episodes of 200 steps, rewarded step by step."""
    from rl_agents.ddpg.config import DdpgConfig
    from rl_agents.problems import Pendulum, play

    # A swing takes about 50 steps: with the default 0.9 only the next ten or so would count.
    config = DdpgConfig(gamma=0.98)
    last = []
    for seed in range(context.seed, context.seed + NUM_SEEDS):
        problem = Pendulum(seed)
        agent = _agent("ddpg", problem, 150, seed, config=config)
        last.append(float(play(agent, problem, 150)[-10:].mean()))
        context.log(f"seed {seed}: mean return of the last 10 episodes {last[-1]:.1f}")
    return _over_seeds("return_last10", last)


def move_to_target(context: Context) -> dict[str, object]:
    """Walk to a target on a line: 200 roll-outs of 20 steps; 0 is a perfect walk."""
    from rl_agents.problems import MoveToTarget, play

    last = []
    for seed in range(context.seed, context.seed + NUM_SEEDS):
        problem = MoveToTarget(seed=seed)
        last.append(float(play(_agent("ddpg", problem, 200, seed), problem, 200)[-20:].mean()))
    return _over_seeds("return_last20", last)


def shared_budget(name: str, context: Context) -> dict[str, object]:
    """One agent on four toy budgets of 12 layers, 200 roll-outs, the uniform choice given."""
    from rl_agents.problems import SharedBudget, play

    gains = []
    for seed in range(context.seed, context.seed + NUM_SEEDS):
        for drawn in range(4):
            problem = SharedBudget(12, seed=drawn)
            agent = _agent(name, problem, 200, seed, initial=[problem.uniform()])
            gains.append(problem.gain(float(play(agent, problem, 200).max())))
    return {"gain_mean": statistics.mean(gains), "gain_worst": min(gains)}


def _over_seeds(name: str, values: list[float]) -> dict[str, object]:
    figures: dict[str, object] = {f"{name}_seed{i}": value for i, value in enumerate(values)}
    return {**figures, f"{name}_mean": statistics.mean(values), f"{name}_worst": min(values)}


def update_time(context: Context) -> dict[str, object]:
    """One update of all four networks, in NumPy against a compiled TensorFlow loop."""
    import numpy as np

    from rl_agents.ddpg.actor_critic import ActorCritic
    from rl_agents.ddpg.config import DdpgConfig

    generator = np.random.default_rng(context.seed)
    batch = {
        "states": generator.normal(size=(BATCH_SIZE, STATE_DIM)).astype(np.float32),
        "actions": generator.random(BATCH_SIZE, np.float32),
        "rewards": generator.random(BATCH_SIZE, np.float32),
        "terminals": np.zeros(BATCH_SIZE, np.float32),
        "next_states": generator.normal(size=(BATCH_SIZE, STATE_DIM)).astype(np.float32),
    }
    networks = ActorCritic(STATE_DIM, DdpgConfig(), generator)

    def ours() -> None:
        for _ in range(UPDATES_PER_CALL):
            networks.update(batch)

    seconds = in_turns({"ours": ours, "peer": _tensorflow_updates(networks, batch)}, rounds=15)
    ours_ms, peer_ms = (
        1e3 * statistics.median(seconds[name]) / UPDATES_PER_CALL for name in ("ours", "peer")
    )
    return {
        "update_ms": ours_ms,
        "rollout_of_15_layers_ms": ours_ms * 32,  # `rl_agents.ddpg.agent.MIN_UPDATES`
        "ratio": ours_ms / peer_ms,
        "peer": {"update_ms": peer_ms},
    }


def _tensorflow_updates(networks: Any, batch: dict[str, np.ndarray]) -> Callable[[], None]:
    """The same updates as one `tf.function` that loops inside, traced before it is timed."""
    import tensorflow as tf

    actor, critic = _tf_variables(networks.actor), _tf_variables(networks.critic)
    target_actor = _tf_variables(networks.target_actor)
    target_critic = _tf_variables(networks.target_critic)
    actor_moments, critic_moments = _tf_moments(actor), _tf_moments(critic)
    states, actions, rewards, terminals, next_states = (tf.constant(v) for v in batch.values())

    def update() -> None:
        next_actions = tf.sigmoid(_tf_forward(target_actor, next_states))
        next_values = _tf_forward(target_critic, next_states, next_actions)
        wanted = rewards + 0.9 * (1.0 - terminals) * next_values
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(_tf_forward(critic, states, actions) - wanted))
        _tf_adam(critic, tape.gradient(loss, critic), critic_moments)
        with tf.GradientTape() as tape:
            chosen = tf.sigmoid(_tf_forward(actor, states))
            loss = -tf.reduce_mean(_tf_forward(critic, states, chosen))
        _tf_adam(actor, tape.gradient(loss, actor), actor_moments)
        for target, variable in zip(target_actor + target_critic, actor + critic, strict=True):
            target.assign(0.99 * target + 0.01 * variable)

    @tf.function
    def updates() -> None:
        for _ in tf.range(UPDATES_PER_CALL):
            update()

    updates()
    return updates


def _tf_variables(parameters: Any) -> list[Any]:
    import tensorflow as tf

    views = [view for block in parameters.blocks for view in block]
    return [tf.Variable(view) for view in [*views, parameters.out_kernel, parameters.out_bias]]


def _tf_moments(variables: list[Any]) -> list[tuple[Any, Any]]:
    import tensorflow as tf

    return [(tf.Variable(v * 0.0), tf.Variable(v * 0.0)) for v in variables]


def _tf_forward(weights: list[Any], x: Any, joined: Any = None) -> Any:
    import tensorflow as tf

    for index in range(len(weights) // 4):
        kernel, bias, gain, offset = weights[4 * index : 4 * index + 4]
        z = x @ kernel + bias
        mean, variance = tf.nn.moments(z, [1], keepdims=True)
        x = tf.nn.relu(tf.nn.batch_normalization(z, mean, variance, offset, gain, 1e-5))
        if index == 0 and joined is not None:
            x = tf.concat([x, joined[:, None]], axis=1)
    return tf.linalg.matvec(x, weights[-2]) + weights[-1]


def _tf_adam(variables: list[Any], gradients: list[Any], moments: list[tuple[Any, Any]]) -> None:
    import tensorflow as tf

    rows = zip(variables, gradients, moments, strict=True)
    for variable, gradient, (first, second) in rows:
        first.assign(0.9 * first + 0.1 * gradient)
        second.assign(0.999 * second + 0.001 * gradient * gradient)
        variable.assign_sub(1e-3 * first / (tf.sqrt(second) + 1e-7))


ROWS = (
    Row(
        name="ddpg-pendulum",
        run=pendulum,
        target={"return_last10_mean": ">= -250", "return_last10_worst": ">= -350"},
        about="Pendulum-v1, 150 episodes, gamma 0.98: mean return of the last 10, noise included",
    ),
    Row(
        name="ddpg-move-to-target",
        run=move_to_target,
        target={"return_last20_worst": ">= -5"},
        about="walk to a target, 200 roll-outs: mean return of the last 20 (0 perfect, random -60)",
    ),
    *(
        Row(
            name=f"budget-{name}",
            run=functools.partial(shared_budget, name),
            target={} if name == "random" else {"gain_mean": ">= 0.55"},
            about=f"{name} on a toy budget: share of the possible gain over uniform, 200 roll-outs",
        )
        for name in ("ddpg", "tpe", "cma-es", "evolution", "random")
    ),
    Row(
        name="ddpg-update",
        run=update_time,
        target={"rollout_of_15_layers_ms": "<= 100", "ratio": "<= 1.0"},
        about="one DDPG update in NumPy against the same in a compiled TensorFlow function",
    ),
)
