"""Actor, critic and their targets: one DDPG update.

Reference:
    Lillicrap et al., "Continuous Control with Deep Reinforcement Learning", 2015, arXiv:1509.02971,
    algorithm 1.
"""

from collections.abc import Mapping

import numpy as np

from rl_agents.ddpg.adam import Adam
from rl_agents.ddpg.config import DdpgConfig
from rl_agents.ddpg.networks import Network, Parameters, sigmoid
from rl_agents.ddpg.noise import perturbed

Batch = Mapping[str, np.ndarray]
"""`states`, `next_states` float32 [batch, state_dim], normalised; `actions`, `rewards` (less the
baseline, scaled), `terminals` float32 [batch]."""


class ActorCritic:
    """The four networks and their optimizers.

    Attributes:
        actor: parameters of mu(s), float32; its output is an action in (0, 1).
        critic: parameters of Q(s, a), float32.
        target_actor: parameters of mu', which follow `actor`.
        target_critic: parameters of Q', which follow `critic`.
    """

    def __init__(self, state_dim: int, config: DdpgConfig, generator: np.random.Generator) -> None:
        self.config = config
        self.actor_network = Network(state_dim, config.actor_width, config.actor_depth)
        self.critic_network = Network(state_dim, config.critic_width, config.critic_depth + 1, 1)
        self.actor = self.actor_network.initial_parameters(generator)
        self.critic = self.critic_network.initial_parameters(generator)
        self.target_actor = self.actor_network.parameters(self.actor.flat.copy())
        self.target_critic = self.critic_network.parameters(self.critic.flat.copy())
        self._actor_adam = Adam(self.actor.flat.size, config.lrn_rate)
        self._critic_adam = Adam(self.critic.flat.size, config.lrn_rate)
        self._actor_gradient = self.actor_network.parameters()
        self._critic_gradient = self.critic_network.parameters()

    def act(self, states: np.ndarray, actor: Parameters | None = None) -> np.ndarray:
        """Actions [batch] for normalised states [batch, state_dim], by `actor` or the main one."""
        return sigmoid(self.actor_network.forward(actor or self.actor, states)[0])

    def perturbed_actor(self, std: float, generator: np.random.Generator) -> Parameters:
        """A copy of the actor with parameter noise of standard deviation `std`."""
        network = self.actor_network
        return network.parameters(perturbed(self.actor.flat, network.perturbable, std, generator))

    def update(self, batch: Batch) -> tuple[float, float]:
        """Improve critic, then actor, then let the targets follow.

        Args:
            batch: transitions from the replay buffer.

        Returns:
            (critic loss, actor loss) before the update, without weight decay.
        """
        critic_loss = self._update_critic(batch)
        actor_loss = self._update_actor(batch["states"])
        follow_softly(self.target_critic.flat, self.critic.flat, self.config.tau)
        follow_softly(self.target_actor.flat, self.actor.flat, self.config.tau)
        return critic_loss, actor_loss

    def _update_critic(self, batch: Batch) -> float:
        """Minimise mean (Q(s, a) - y)^2,  y = r + gamma (1 - terminal) Q'(s', mu'(s'))."""
        network = self.critic_network
        next_actions = self.act(batch["next_states"], self.target_actor)
        next_values, _ = network.forward(
            self.target_critic, batch["next_states"], next_actions[:, None]
        )
        discount = np.float32(self.config.gamma) * (1.0 - batch["terminals"])
        targets = batch["rewards"] + discount * next_values
        values, cache = network.forward(self.critic, batch["states"], batch["actions"][:, None])
        error = values - targets
        slope = error * np.float32(2.0 / error.size)
        network.backward(self.critic, cache, slope, into=self._critic_gradient)
        self._descend(self._critic_adam, self.critic, self._critic_gradient)
        return float(np.mean(error * error))

    def _update_actor(self, states: np.ndarray) -> float:
        """Maximise mean Q(s, mu(s)), by the chain rule through the action."""
        logits, cache = self.actor_network.forward(self.actor, states)
        actions = sigmoid(logits)
        values, critic_cache = self.critic_network.forward(self.critic, states, actions[:, None])
        ascent = np.full(values.size, -1.0 / values.size, np.float32)
        action_gradient = self.critic_network.backward(self.critic, critic_cache, ascent)[:, 0]
        upstream = through_sigmoid(action_gradient, actions)
        self.actor_network.backward(self.actor, cache, upstream, into=self._actor_gradient)
        self._descend(self._actor_adam, self.actor, self._actor_gradient)
        return -float(values.mean())

    def _descend(self, adam: Adam, parameters: Parameters, gradient: Parameters) -> None:
        if self.config.loss_w_dcy:
            gradient.flat += np.float32(self.config.loss_w_dcy) * parameters.flat
        adam.step(parameters.flat, gradient.flat)

    def state_dict(self) -> dict[str, np.ndarray]:
        """All parameters and both optimizers."""
        return {
            **{name: getattr(self, name).flat.copy() for name in _PARAMETERS},
            **prefixed("actor_adam.", self._actor_adam.state_dict()),
            **prefixed("critic_adam.", self._critic_adam.state_dict()),
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: networks of other sizes.
        """
        for name in _PARAMETERS:
            own = getattr(self, name).flat
            if state[name].shape != own.shape:
                raise ValueError(
                    f"The saved {name} has {state[name].size} parameters, this one {own.size}: "
                    "depth, width or the state vector differ."
                )
            own[...] = state[name]
        self._actor_adam.load_state_dict(without_prefix("actor_adam.", state))
        self._critic_adam.load_state_dict(without_prefix("critic_adam.", state))


_PARAMETERS = ("actor", "critic", "target_actor", "target_critic")


def follow_softly(target: np.ndarray, main: np.ndarray, tau: float) -> None:
    """Move `target` in place: target <- (1 - tau) * target + tau * main.

    Example:
        >>> target = np.array([0.0, 4.0])
        >>> follow_softly(target, np.array([1.0, 0.0]), tau=0.25)
        >>> target
        array([0.25, 3.  ])
    """
    target += target.dtype.type(tau) * (main - target)


def through_sigmoid(gradient: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Carry a loss's gradient from actions a = sigmoid(z) to z, so that a can leave 0 and 1 again.

    The derivative a (1 - a) vanishes at both ends, and actors that a young critic has sent there
    never come back. So only the factor that faces the step's direction stays: 1 - a for a step
    upwards (negative gradient), a for one downwards.

    Args:
        gradient: [batch], with respect to the actions.
        actions: [batch] in [0, 1].

    Returns:
        [batch], with the signs of `gradient`.

    Example:
        >>> through_sigmoid(np.array([-2.0, 2.0]), np.array([0.75, 0.75]))
        array([-0.5,  1.5])

    Reference:
        Hausknecht & Stone, "Deep Reinforcement Learning in Parameterized Action Space", 2016,
        arXiv:1511.04143, section 5 (inverting gradients; there the output is linear).
    """
    return gradient * np.where(gradient < 0.0, 1.0 - actions, actions)


def prefixed(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put a prefix before every name of a state.

    Example:
        >>> prefixed("buffer.", {"next": np.array(3)})
        {'buffer.next': array(3)}
    """
    return {prefix + name: value for name, value in state.items()}


def without_prefix(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take the entries that `prefixed` made, under their own names again."""
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
