import math

import numpy as np
import pytest

from learners.search.choices import ChoiceLayer
from learners.search.environment import BudgetEnvironment
from learners.search.greedy import GreedyAgent, allocate, harm_curve
from tests.learners.search.toy import ToyProblem


def test_allocation_is_within_a_step_of_the_optimum():
    problem = ToyProblem()
    values = allocate(problem.harms(), problem.layers, problem.load)
    assert problem.load.of(values) <= 1.0
    best, uniform = problem.accuracy(problem.optimum()), problem.accuracy([4, 4, 4, 4])
    assert problem.accuracy(values) >= uniform + 0.9 * (best - uniform)


def test_allocation_sees_past_a_plateau():
    layers = [ChoiceLayer(name, (1, 2, 3, 4), (), 0) for name in "ab"]
    # The first step of "a" hurts, the next ones are free; "b" hurts evenly.
    harms = [np.array([1.0, 1.0, 1.0, 0.0]), np.array([3.0, 2.0, 1.0, 0.0])]
    assert allocate(harms, layers, lambda v: v.sum(axis=1) / 5).tolist() == [1, 4]


def test_allocation_gives_the_smallest_where_nothing_fits():
    layers = [ChoiceLayer(name, (1, 2), (), 0) for name in "ab"]
    harms = [np.array([1.0, 0.0])] * 2
    assert allocate(harms, layers, lambda v: v.sum(axis=1) / 1).tolist() == [1, 1]


def test_harm_falls_to_zero_at_the_largest_choice():
    layer = ChoiceLayer("conv", tuple(range(1, 65)), (), 0)
    curve = harm_curve(layer, lambda value: 5.0 + 1.0 / value, 6)
    counts = np.arange(1, 65)
    assert curve[-1] == 0.0
    assert np.all(np.diff(curve) <= 1e-12)
    assert curve == pytest.approx(1.0 / counts - 1.0 / 64, abs=0.06)


def test_noise_cannot_make_more_channels_worse():
    losses = {64: 1.0, 32: 0.9, 16: 1.3, 8: 1.2, 4: 2.0, 2: 3.0, 1: 5.0}
    layer = ChoiceLayer("conv", tuple(range(1, 65)), (), 0)
    curve = harm_curve(layer, lambda value: losses[min(losses, key=lambda n: abs(n - value))], 6)
    assert np.all(np.diff(curve) <= 1e-12)


def test_what_fails_counts_as_the_worst():
    layer = ChoiceLayer("conv", (1, 2, 4, 8), (), 0)
    curve = harm_curve(layer, lambda value: math.nan if value == 1 else 1.0 / value, 4)
    assert curve[0] == curve[1]
    flat = harm_curve(layer, lambda value: math.nan, 4)
    assert flat == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0])


def agent_for(problem, **options):
    env = BudgetEnvironment(problem.layers, problem.load)
    agent = GreedyAgent(
        env.num_layers,
        env.state_dim,
        layers=problem.layers,
        load=problem.load,
        measure_harms=options.pop("measure_harms", problem.harms),
        **options,
    )
    return agent, env


def test_the_first_proposal_is_the_allocation_itself():
    problem = ToyProblem()
    agent, env = agent_for(problem)
    agent.ask(env)
    assert (
        env.settled().tolist() == allocate(problem.harms(), problem.layers, problem.load).tolist()
    )


def test_harms_are_measured_once_and_saved():
    problem = ToyProblem()
    calls = []

    def measure():
        calls.append(1)
        return problem.harms()

    agent, env = agent_for(problem, measure_harms=measure)
    for _ in range(3):
        agent.tell(agent.ask(env), 0.5)
    other, env = agent_for(problem, measure_harms=measure)
    other.load_state_dict(agent.state_dict())
    assert other.ask(env).tolist() == agent.ask(env).tolist()
    assert len(calls) == 1


def test_wrong_harms_are_corrected_by_what_is_learned():
    problem = ToyProblem()
    wrong = [harm.max() ** -2 * harm for harm in problem.harms()]  # the largest is the smallest
    agent, env = agent_for(problem, measure_harms=lambda: wrong, num_rollouts=80)
    scores = []
    for _ in range(80):
        agent.ask(env)
        values = env.settled()
        scores.append(problem.accuracy(values))
        agent.tell(env.actions(values), scores[-1])
    best, uniform = problem.accuracy(problem.optimum()), problem.accuracy([4, 4, 4, 4])
    assert scores[0] < uniform
    assert max(scores) >= uniform + 0.85 * (best - uniform)


def test_the_state_of_other_layers_is_refused():
    agent, env = agent_for(ToyProblem())
    agent.tell(agent.ask(env), 0.5)
    state = agent.state_dict()
    with pytest.raises(ValueError, match="are for other layers than these 4"):
        agent.load_state_dict(state | {"harms": np.zeros(5)})
