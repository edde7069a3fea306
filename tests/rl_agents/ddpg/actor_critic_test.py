import numpy as np
import pytest

from rl_agents.ddpg.actor_critic import (
    ActorCritic,
    follow_softly,
    prefixed,
    through_sigmoid,
    without_prefix,
)
from rl_agents.ddpg.config import DdpgConfig

BATCH = 16


def make(state_dim: int = 3, **settings) -> ActorCritic:
    settings = {"actor_width": 8, "critic_width": 8, **settings}
    return ActorCritic(state_dim, DdpgConfig(**settings), np.random.default_rng(0))


def random_batch(seed: int = 0, terminal: float = 0.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "states": generator.normal(size=(BATCH, 3)).astype(np.float32),
        "actions": generator.random(BATCH, np.float32),
        "rewards": generator.normal(size=BATCH).astype(np.float32),
        "terminals": np.full(BATCH, terminal, np.float32),
        "next_states": generator.normal(size=(BATCH, 3)).astype(np.float32),
    }


def values(networks: ActorCritic, batch: dict[str, np.ndarray]) -> np.ndarray:
    actions = batch["actions"][:, None]
    return networks.critic_network.forward(networks.critic, batch["states"], actions)[0]


def test_soft_update_is_exact():
    target, main = np.array([1.0, -2.0, 0.0]), np.array([3.0, 2.0, 0.5])
    follow_softly(target, main, tau=0.01)
    np.testing.assert_allclose(target, [1.02, -1.96, 0.005], rtol=1e-12)


def test_targets_follow_by_tau():
    networks = make(tau=0.25)
    before = networks.target_critic.flat.copy()
    networks.update(random_batch())
    expected = before + 0.25 * (networks.critic.flat - before)
    np.testing.assert_allclose(networks.target_critic.flat, expected, rtol=1e-5, atol=1e-7)


def test_tau_of_one_copies():
    networks = make(tau=1.0)
    networks.update(random_batch())
    np.testing.assert_allclose(networks.target_actor.flat, networks.actor.flat, atol=1e-7)


def test_critic_loss_is_the_bellman_error():
    networks, batch = make(gamma=0.5), random_batch()
    next_actions = networks.act(batch["next_states"], networks.target_actor)
    next_values, _ = networks.critic_network.forward(
        networks.target_critic, batch["next_states"], next_actions[:, None]
    )
    targets = batch["rewards"] + 0.5 * next_values
    expected = np.mean((values(networks, batch) - targets) ** 2)
    critic_loss, _ = networks.update(batch)
    assert critic_loss == pytest.approx(expected, rel=1e-5)


def test_nothing_follows_a_terminal_step():
    losses = [make(gamma=g).update(random_batch(terminal=1.0))[0] for g in (0.0, 0.9)]
    assert losses[0] == losses[1]
    assert make(gamma=0.9).update(random_batch())[0] != losses[0]


def test_critic_learns_a_known_value():
    networks, batch = make(lrn_rate=1e-2), random_batch(terminal=1.0)
    batch["rewards"] = (batch["actions"] - 0.5) * 2.0
    for _ in range(400):
        networks.update(batch)
    np.testing.assert_allclose(values(networks, batch), batch["rewards"], atol=0.1)


def test_actor_finds_the_best_action_of_a_bandit():
    """One step, reward -(a - target)^2 with a target that depends on the state."""
    networks = make(lrn_rate=3e-3, tau=0.05, actor_width=32, critic_width=32)
    generator = np.random.default_rng(1)
    for _ in range(400):
        states = generator.choice([-1.0, 1.0], size=(64, 3)).astype(np.float32)
        actions = generator.random(64, np.float32)
        rewards = -np.square(actions - (0.5 + 0.3 * states[:, 0])) * 10.0
        terminals = np.ones(64, np.float32)
        batch = {"states": states, "actions": actions, "rewards": rewards}
        networks.update({**batch, "terminals": terminals, "next_states": states})
    low, high = networks.act(np.array([[-1, 1, 1], [1, -1, 1]], np.float32))
    assert low == pytest.approx(0.2, abs=0.1)
    assert high == pytest.approx(0.8, abs=0.1)


def test_actor_comes_back_from_saturation():
    """A young critic drives actors to 0 or 1, where the sigmoid's own derivative is nothing."""
    networks = make(lrn_rate=1e-2, tau=1.0, actor_width=32, critic_width=32)
    networks.actor.out_bias[0] = 12.0
    generator = np.random.default_rng(2)
    states = np.ones((64, 3), np.float32)
    assert networks.act(states[:1])[0] > 0.99999
    for _ in range(200):
        actions = generator.random(64, np.float32)
        batch = {"states": states, "actions": actions, "rewards": -np.square(actions - 0.4) * 10.0}
        terminals = np.ones(64, np.float32)
        networks.update({**batch, "terminals": terminals, "next_states": states})
    assert networks.act(states[:1])[0] == pytest.approx(0.4, abs=0.1)


def test_gradients_through_the_sigmoid_keep_their_sign_and_face_inwards():
    gradient = np.array([-1.0, 1.0, -1.0, 1.0, 0.0])
    actions = np.array([0.0, 0.0, 1.0, 1.0, 0.5])
    np.testing.assert_array_equal(through_sigmoid(gradient, actions), [-1.0, 0.0, 0.0, 1.0, 0.0])


def test_weight_decay_shrinks_the_parameters():
    norms = []
    for decay in (0.0, 10.0):
        networks = make(loss_w_dcy=decay)
        for seed in range(50):
            networks.update(random_batch(seed))
        norms.append((np.linalg.norm(networks.actor.flat), np.linalg.norm(networks.critic.flat)))
    assert norms[1][0] < norms[0][0]
    assert norms[1][1] < norms[0][1]


def test_widths_and_depths_are_the_settings():
    networks = make(actor_depth=3, actor_width=5, critic_depth=1, critic_width=7)
    assert [block.kernel.shape for block in networks.actor.blocks] == [(3, 5), (5, 5), (5, 5)]
    assert [block.kernel.shape for block in networks.critic.blocks] == [(3, 7), (8, 7)]


def test_learning_rate_is_the_step():
    steps = []
    for rate in (1e-3, 1e-2):
        networks = make(lrn_rate=rate)
        before = networks.critic.flat.copy()
        networks.update(random_batch())
        steps.append(np.abs(networks.critic.flat - before).max())
    assert steps[1] == pytest.approx(10.0 * steps[0], rel=1e-2)


def test_restored_networks_learn_the_same():
    networks, restored = make(), make()
    networks.update(random_batch(0))
    restored.load_state_dict(networks.state_dict())
    assert networks.update(random_batch(1)) == restored.update(random_batch(1))
    np.testing.assert_array_equal(networks.actor.flat, restored.actor.flat)


def test_refuses_networks_of_another_size():
    with pytest.raises(ValueError, match=r"saved actor has \d+ parameters, this one \d+: depth"):
        make(state_dim=4).load_state_dict(make().state_dict())


def test_prefixes_round_trip():
    state = {"a": np.zeros(1), "b.c": np.ones(2)}
    assert without_prefix("x.", prefixed("x.", state)) == state
    assert without_prefix("y.", prefixed("x.", state)) == {}
