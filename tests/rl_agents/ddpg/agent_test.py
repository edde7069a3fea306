import math

import numpy as np
import pytest

from rl_agents.ddpg.agent import MIN_UPDATES, DdpgAgent
from rl_agents.ddpg.config import DdpgConfig
from rl_agents.ddpg.noise import decayed_std
from rl_agents.problems import MoveToTarget, SharedBudget, play

SMALL = {"batch_size": 8, "actor_width": 8, "critic_width": 8}


def make(problem, num_rollouts: int = 12, seed: int = 0, **settings) -> DdpgAgent:
    config = DdpgConfig(**{**SMALL, **settings})
    sizes = (problem.num_layers, problem.state_dim)
    return DdpgAgent(*sizes, seed=seed, config=config, num_rollouts=num_rollouts)


class TestNoise:
    def test_time_decay_follows_the_roll_outs(self):
        problem = SharedBudget(3)
        agent = make(problem, 12, noise_std_init=0.8, noise_std_finl=0.01)
        sizes = []
        for _ in range(14):
            sizes.append(agent.diagnostics()["noise_std"])
            play(agent, problem, 1)
        assert sizes == [decayed_std(i, 3, 11, 0.8, 0.01) for i in range(14)]
        assert sizes[:4] == [0.8] * 4
        assert sizes[11] == sizes[13] == 0.01

    def test_parameter_noise_is_one_policy_per_roll_out(self):
        """The same state twice gets the same action, unlike with action noise."""
        policies = {}
        for kind in ("param", "action"):
            agent = make(SharedBudget(3), noise_type=kind)
            policy = agent._policy(np.random.default_rng(0))
            policies[kind] = {policy(0, np.ones(6, np.float32)) for _ in range(5)}
        assert len(policies["param"]) == 1
        assert len(policies["action"]) == 5

    def test_adaptive_noise_reaches_the_wanted_distance(self):
        problem = SharedBudget(6)
        agent = make(
            problem,
            60,
            noise_type="param",
            noise_prtl="adapt",
            noise_dst_finl=0.1,
            noise_adpt_rat=1.1,
            lrn_rate=1e-6,
        )
        assert agent.noise_std == 0.5
        play(agent, problem, 60)
        states = np.eye(9, dtype=np.float32)[:6]
        noisy = agent.networks.perturbed_actor(agent.noise_std, np.random.default_rng(0))
        distances = []
        for seed in range(50):
            noisy = agent.networks.perturbed_actor(agent.noise_std, np.random.default_rng(seed))
            moved = agent.networks.act(states, noisy) - agent.networks.act(states)
            distances.append(math.sqrt(np.mean(moved**2)))
        assert np.mean(distances) == pytest.approx(0.1, rel=0.5)

    def test_adaptation_waits_for_the_first_update(self):
        problem = SharedBudget(3)
        agent = make(problem, 12, noise_type="param", noise_prtl="adapt")
        play(agent, problem, 2)
        assert agent.noise_std == 0.5
        play(agent, problem, 1)
        steps = math.log(agent.noise_std / 0.5) / math.log(1.03)
        assert steps == pytest.approx(round(steps), abs=1e-9)
        assert abs(round(steps)) % 2 == MIN_UPDATES % 2
        assert 0 < abs(round(steps)) <= MIN_UPDATES


class TestMemory:
    def test_first_quarter_only_fills_the_buffer(self):
        problem = SharedBudget(4)
        agent = make(problem, 12)
        before = agent.networks.actor.flat.copy()
        play(agent, problem, 2)
        np.testing.assert_array_equal(agent.networks.actor.flat, before)
        play(agent, problem, 1)
        assert agent.memory.size == agent.memory.capacity == 3 * 4
        assert not np.array_equal(agent.networks.actor.flat, before)

    def test_what_was_applied_is_stored(self):
        problem = SharedBudget(4)
        agent = make(problem, 12, noise_std_init=1e-3)
        actions = agent.ask(problem)
        assert actions[-1] != pytest.approx(0.5, abs=1e-6)  # clipped to reach the budget
        agent.tell(actions, problem.score(actions))
        stored = agent.memory.state_dict()["actions"]
        np.testing.assert_allclose(stored, actions, rtol=1e-6)

    @pytest.mark.parametrize(("record_step", "expected"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4])])
    def test_record_step(self, record_step, expected):
        problem = SharedBudget(5)
        agent = make(problem, record_step=record_step)
        agent.tell(agent.ask(problem), np.arange(5.0))
        assert agent.memory.state_dict()["rewards"].tolist() == expected
        assert agent.state_statistics.count == len(expected)

    def test_shared_reward_reaches_every_step(self):
        problem = SharedBudget(3)
        agent = make(problem)
        agent.tell(agent.ask(problem), 0.25)
        assert agent.memory.state_dict()["rewards"].tolist() == [0.25] * 3


class TestBaseline:
    def test_is_a_running_average_of_mean_rewards(self):
        problem = SharedBudget(2)
        agent = make(problem, bsln_decy_rate=0.75)
        for reward in (1.0, 3.0, [0.0, 4.0]):
            agent.tell(agent.ask(problem), reward)
        first = 0.75 * 1.0 + 0.25 * 3.0
        assert agent.diagnostics()["baseline"] == pytest.approx(0.75 * first + 0.25 * 2.0)

    @pytest.mark.parametrize("enabled", [True, False])
    def test_is_subtracted_before_the_rewards_are_scaled(self, enabled):
        problem = SharedBudget(2)
        agent = make(problem, 40, enbl_bsln_func=enabled, bsln_decy_rate=0.5)
        for reward in (1.0, 5.0):
            agent.tell(agent.ask(problem), reward)
        (batch,) = agent._batches(1, np.random.default_rng(0))
        shift = 3.0 if enabled else 0.0
        expected = {(reward - shift) / 2.0 for reward in (1.0, 5.0)}
        assert set(batch["rewards"].tolist()) == expected


def test_states_are_normalised_and_limited():
    agent = make(SharedBudget(1))
    agent.state_statistics.update(np.array([[0.0, 2.0, 0.0, 1.0], [2.0, 6.0, 0.0, 1.0]]))
    got = agent._normalised(np.array([[1.0, 8.0, 0.05, -9.0]], np.float32))
    np.testing.assert_allclose(got, [[0.0, 2.0, 5.0, -5.0]])
    assert got.dtype == np.float32


def test_rms_eps_is_the_floor_of_the_variance():
    agent = make(SharedBudget(1), rms_eps=0.25)
    agent.state_statistics.update(np.ones((3, 4)))
    np.testing.assert_allclose(agent._normalised(np.full((1, 4), 2.0)), np.full((1, 4), 2.0))


def test_clean_actions_are_the_actors():
    problem = SharedBudget(3)
    agent = make(problem)
    play(agent, problem, 8)
    states = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    expected = agent.networks.act(agent._normalised(states))
    np.testing.assert_array_equal(agent.best_actions(states), expected)


@pytest.mark.parametrize(
    ("num_seeds", "noise"),
    [
        (3, {"noise_type": "action"}),
        (1, {"noise_type": "param", "noise_std_init": 0.1, "noise_std_finl": 0.01}),
    ],
    ids=["action", "param"],
)
def test_walks_to_the_target(num_seeds, noise):
    """Regret of the last 20 of 80 roll-outs; walking at random costs 50 to 70."""
    regrets = []
    for seed in range(1, 1 + num_seeds):
        problem = MoveToTarget(seed=seed)
        agent = DdpgAgent(
            problem.num_layers,
            problem.state_dim,
            seed=seed,
            num_rollouts=80,
            config=DdpgConfig(batch_size=32, actor_width=32, **noise),
        )
        regrets.append(-play(agent, problem, 80)[-20:].mean())
    assert max(regrets) <= 10.0, regrets
