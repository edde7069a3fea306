"""The DDPG agent: roll out with noise, remember, learn.

1. For the first quarter of the roll-outs noise stays at its initial size and the replay buffer,
   which holds just as much, fills.
2. Afterwards each scored roll-out is followed by one update per recorded step, by 32 at least.
3. Noise disturbs the actor's parameters (once per roll-out) or its actions, less and less.

References:
    Lillicrap et al., "Continuous Control with Deep Reinforcement Learning", 2015, arXiv:1509.02971.
    Plappert et al., "Parameter Space Noise for Exploration", 2017, arXiv:1706.01905.
    He et al., "AMC: AutoML for Model Compression and Acceleration", 2018, arXiv:1802.03494: the
    roll-out's reward is given to each of its steps, less a running average.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl_agents.base import TELL_STREAM, Agent, Policy, Walk
from rl_agents.ddpg.actor_critic import ActorCritic, prefixed, without_prefix
from rl_agents.ddpg.config import DdpgConfig
from rl_agents.ddpg.noise import adapted_std, decayed_std, truncated_normal
from rl_agents.ddpg.replay_buffer import ReplayBuffer
from rl_agents.ddpg.running_statistics import RunningStatistics

EXPLORED_SHARE = 0.25  # of the roll-outs: the documents' first quarter that only fills the buffer
# With few layers one update per step learns too little: on `SharedBudget` in rl_agents/problems.py
# (8 layers, 100 roll-outs) 8 updates each reach half of the possible gain, 32 reach 0.87.
MIN_UPDATES = 32
STATE_LIMIT = 5.0  # normalised states further out are cut, as in Plappert et al.'s experiments
INIT_STREAM = 2  # of the roll-out streams: the networks' first parameters


class DdpgAgent(Agent):
    """Deep deterministic policy gradient over the layers of a network.

    Args:
        num_layers: actions per roll-out.
        state_dim: length of the environment's state vector.
        config: a `DdpgConfig`; None for its defaults.
        **options: `seed`, `num_rollouts`, `initial`, see `Agent`.
    """

    def __init__(
        self,
        num_layers: int,
        state_dim: int,
        *,
        config: DdpgConfig | None = None,
        **options: Any,
    ) -> None:
        config = config or DdpgConfig()
        super().__init__(num_layers, state_dim, config=config, **options)
        self.config: DdpgConfig = config
        self.num_explored = math.ceil(self.num_rollouts * EXPLORED_SHARE)
        self.networks = ActorCritic(state_dim, config, self.generator(INIT_STREAM))
        # Older roll-outs are forgotten: kept whole, they hid what the better ones teach. On a
        # toy budget that cost about a fifth of the possible gain.
        recorded = math.ceil(num_layers / config.record_step)
        self.memory = ReplayBuffer(self.num_explored * recorded, state_dim)
        self.state_statistics = RunningStatistics(state_dim, config.rms_eps)
        self.reward_statistics = RunningStatistics(1, config.rms_eps)
        self.baseline = math.nan
        self._adaptive_std = config.noise_std_init
        self._losses = (math.nan, math.nan)

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise in the coming roll-out."""
        config = self.config
        if config.noise_prtl == "adapt":
            return self._adaptive_std
        return decayed_std(
            self.num_told,
            self.num_explored,
            self.num_rollouts - 1,
            config.noise_std_init,
            config.noise_std_finl,
        )

    def best_actions(self, states: np.ndarray) -> np.ndarray:
        """The actor's actions [batch] without noise for raw states [batch, state_dim]."""
        return self.networks.act(self._normalised(states))

    def diagnostics(self) -> dict[str, float]:
        """Noise, baseline and the last update's losses (NaN before the first)."""
        critic_loss, actor_loss = self._losses
        return {
            "noise_std": self.noise_std,
            "baseline": self.baseline,
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
        }

    def _policy(self, generator: np.random.Generator) -> Policy:
        networks, std = self.networks, self.noise_std
        if self.config.noise_type == "param":
            actor = networks.perturbed_actor(std, generator)
            return lambda index, state: float(networks.act(self._normalised(state[None]), actor)[0])
        return lambda index, state: truncated_normal(
            float(networks.act(self._normalised(state[None]))[0]), std, generator
        )

    def _learn(self, rollout: Walk, rewards: np.ndarray) -> None:
        self._remember(rollout, rewards)
        if self.num_told + 1 < self.num_explored:
            return
        generator = self.generator(TELL_STREAM)
        num_updates = max(math.ceil(self.num_layers / self.config.record_step), MIN_UPDATES)
        for batch in self._batches(num_updates, generator):
            if self.config.noise_prtl == "adapt":
                self._adapt_noise(batch["states"], generator)
            self._losses = self.networks.update(batch)

    def _remember(self, rollout: Walk, rewards: np.ndarray) -> None:
        recorded = slice(None, None, self.config.record_step)
        transitions = {
            "states": rollout.states[recorded],
            "actions": rollout.actions[recorded],
            "rewards": rewards[recorded],
            "terminals": rollout.terminals[recorded],
            "next_states": rollout.next_states[recorded],
        }
        self.memory.append(transitions)
        self.state_statistics.update(transitions["states"])
        self.reward_statistics.update(transitions["rewards"][:, None])
        mean, kept = float(rewards.mean()), self.config.bsln_decy_rate
        first = math.isnan(self.baseline)
        self.baseline = mean if first else kept * self.baseline + (1.0 - kept) * mean

    def _batches(
        self, num_updates: int, generator: np.random.Generator
    ) -> Sequence[dict[str, np.ndarray]]:
        """Draw all updates' batches at once and normalise them together."""
        drawn = self.memory.sample(num_updates * self.config.batch_size, generator)
        drawn["states"] = self._normalised(drawn["states"])
        drawn["next_states"] = self._normalised(drawn["next_states"])
        if self.config.enbl_bsln_func:
            drawn["rewards"] = drawn["rewards"] - np.float32(self.baseline)
        drawn["rewards"] = drawn["rewards"] / np.float32(self.reward_statistics.std[0])
        pieces = {name: np.split(field, num_updates) for name, field in drawn.items()}
        return [{name: pieces[name][i] for name in pieces} for i in range(num_updates)]

    def _normalised(self, states: np.ndarray) -> np.ndarray:
        statistics = self.state_statistics
        scaled = (states - statistics.mean) / statistics.std
        return np.clip(scaled, -STATE_LIMIT, STATE_LIMIT).astype(np.float32)

    def _adapt_noise(self, states: np.ndarray, generator: np.random.Generator) -> None:
        networks, config = self.networks, self.config
        actor = networks.perturbed_actor(self._adaptive_std, generator)
        moved = networks.act(states, actor) - networks.act(states)
        distance = math.sqrt(float(np.mean(moved * moved)))
        self._adaptive_std = adapted_std(
            self._adaptive_std, distance, config.noise_dst_finl, config.noise_adpt_rat
        )

    def _state(self) -> dict[str, np.ndarray]:
        return {
            **prefixed("networks.", self.networks.state_dict()),
            **prefixed("memory.", self.memory.state_dict()),
            **prefixed("state_statistics.", self.state_statistics.state_dict()),
            **prefixed("reward_statistics.", self.reward_statistics.state_dict()),
            "scalars": np.array([self.baseline, self._adaptive_std, *self._losses]),
        }

    def _load(self, state: Mapping[str, np.ndarray]) -> None:
        self.networks.load_state_dict(without_prefix("networks.", state))
        self.memory.load_state_dict(without_prefix("memory.", state))
        self.state_statistics.load_state_dict(without_prefix("state_statistics.", state))
        self.reward_statistics.load_state_dict(without_prefix("reward_statistics.", state))
        self.baseline, self._adaptive_std, *losses = (float(v) for v in state["scalars"])
        self._losses = (losses[0], losses[1])
