import dataclasses
import math
import threading

import numpy as np
import pytest

from learners.search import driver, failing
from learners.search.agents import AGENTS, problem_agent
from learners.search.calibration import calibrated_errors
from learners.search.driver import Limits, SearchRun
from learners.search.environment import BudgetEnvironment
from learners.search.harms import HARM_POINTS, harm_places, measured_harms
from learners.search.journal import Journal
from learners.search.rewards import Score
from tests.learners.search.toy import ToyProblem
from tests.utils.several import run_workers
from utils.multi_gpu_wrapper import MultiGpuWrapper


def make_agent(name, problem, env, *, num_rollouts):
    initial = np.array([4, 4, 4, 4])
    return problem_agent(name, problem, env, initial=initial, seed=0, num_rollouts=num_rollouts)


def search(folder, problem, name="random", *, num_rollouts=12, resume=True, planned=12, **limits):
    run = SearchRun(
        problem,
        lambda env: make_agent(name, problem, env, num_rollouts=planned),
        Journal(folder, {"name": name}, resume=resume),
        Limits(num_rollouts=num_rollouts, **{"min_rollouts": num_rollouts, **limits}),
    )
    run.run()
    return run


def without_seconds(trials):
    return [{**vars(trial), "seconds": 0} for trial in trials]


@pytest.mark.parametrize(
    ("name", "gain"),
    [("dp", 0.999), ("greedy", 0.99), ("tpe", 0.8), ("cma-es", 0.8), ("evolution", 0.8),
     ("ddpg", 0.6), ("random", 0.5)],
)  # fmt: skip
def test_every_agent_comes_near_the_optimum_that_brute_force_finds(name, gain, tmp_path):
    problem = ToyProblem()
    best, uniform = problem.accuracy(problem.optimum()), problem.accuracy([4, 4, 4, 4])
    run = search(tmp_path, problem, name, num_rollouts=120, planned=120)
    assert run.best.reward >= uniform + gain * (best - uniform)


def test_uniform_comes_first_and_every_roll_out_is_within_the_budget(tmp_path):
    problem = ToyProblem()
    search(tmp_path, problem)
    trials = Journal(tmp_path, {"name": "random"}, resume=True).trials
    assert list(trials[0].choices.values()) == [4, 4, 4, 4]
    assert [trial.index for trial in trials] == list(range(12))
    for trial in trials:
        values = np.array(list(trial.choices.values()))
        assert 0.98 <= problem.load.of(values) <= 1.0
        assert trial.cost == {"bits": float(problem.cost(values)["bits"])}
        env = BudgetEnvironment(problem.layers, problem.load)
        assert trial.actions == pytest.approx(env.actions(values))


def test_equal_candidates_are_scored_once(tmp_path):
    problem = ToyProblem()
    run = search(tmp_path, problem, "greedy", num_rollouts=40, planned=40)
    trials = Journal(tmp_path, {"name": "greedy"}, resume=True).trials
    distinct = len({tuple(trial.choices.values()) for trial in trials})
    spent = sum(len(harm_places(layer, HARM_POINTS)) for layer in problem.layers)
    assert problem.num_scored == spent + distinct
    assert distinct < 40
    assert run.best.index == min(t.index for t in trials if t.rank == run.best.rank)


class Killed(BaseException):
    pass


class Dying(ToyProblem):
    """Dies like a killed process once a roll-out is scored, before it is written."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def reward(self, score, values):
        if not self.left:
            raise Killed
        self.left -= 1
        return super().reward(score, values)


@pytest.mark.parametrize("name", AGENTS)
def test_a_killed_search_goes_on_as_it_would_have(name, tmp_path):
    whole = search(tmp_path / "whole", ToyProblem(), name, num_rollouts=30, planned=30)
    with pytest.raises(Killed):
        search(tmp_path / "killed", Dying(4), name, num_rollouts=30, planned=30)
    again = search(tmp_path / "killed", ToyProblem(), name, num_rollouts=30, planned=30)
    trials = [
        Journal(tmp_path / f, {"name": name}, resume=True).trials for f in ("whole", "killed")
    ]
    assert without_seconds(trials[0]) == without_seconds(trials[1])
    assert again.best.index == whole.best.index


@pytest.mark.parametrize("name", ["ddpg", "greedy", "dp"])
@pytest.mark.parametrize("lost", ["agent", "told"])
def test_an_agent_that_lags_behind_is_told_again(name, lost, tmp_path):
    whole = search(tmp_path / "a", ToyProblem(), name, num_rollouts=30, planned=30)
    search(tmp_path / "b", ToyProblem(), name, num_rollouts=10, planned=30)
    state = tmp_path / "b" / "search_agent.npz"
    if lost == "told":  # killed between the line and the agent's state
        behind = state.read_bytes()
        search(tmp_path / "b", ToyProblem(), name, num_rollouts=12, planned=30)
        state.write_bytes(behind)
    else:
        state.unlink()
    again = search(tmp_path / "b", ToyProblem(), name, num_rollouts=30, planned=30)
    assert without_seconds([again.best]) == without_seconds([whole.best])
    trials = [Journal(tmp_path / f, {"name": name}, resume=True).trials for f in ("a", "b")]
    assert without_seconds(trials[0]) == without_seconds(trials[1])


def test_a_finished_search_scores_nothing_again(tmp_path):
    search(tmp_path, ToyProblem())
    problem = ToyProblem()
    search(tmp_path, problem)
    assert problem.num_scored == 0


class Failing(ToyProblem):
    """Fails in different ways, and in all that is measured for a roll-out that fails."""

    def __init__(self, journal):
        super().__init__()
        self.journal = journal

    def score(self, values):
        number = len(self.journal.read_bytes().splitlines()) - 1
        score = super().score(values)
        if number in (0, 3):  # logits that are NaN still give a class
            return Score(math.nan if number == 0 else 0.1, math.nan)
        if number == 1:
            raise RuntimeError("out of memory")
        return score


@pytest.mark.parametrize("name", AGENTS)
def test_failed_trials_are_written_and_the_search_goes_on(name, tmp_path):
    run = search(tmp_path, Failing(tmp_path / "search.jsonl"), name, num_rollouts=14, planned=14)
    trials = Journal(tmp_path, {"name": name}, resume=True).trials
    assert len(trials) == 14
    assert trials[0].reward is None
    assert trials[0].error == "the score is not finite"
    assert any(trial.error == "RuntimeError: out of memory" for trial in trials)
    assert run.best.reward is not None


class Hopeless(ToyProblem):
    def score(self, values):
        super().score(values)
        raise RuntimeError("never")


def test_a_search_in_which_everything_fails_ends(tmp_path):
    run = search(tmp_path, Hopeless(), num_rollouts=200, planned=200)
    assert run.best is None
    assert len(Journal(tmp_path, {"name": "random"}, resume=True).trials) == 20


def test_it_ends_under_a_time_limit_too(tmp_path):
    search(tmp_path, Hopeless(), num_rollouts=200, planned=200, minutes=60.0)
    assert len(Journal(tmp_path, {"name": "random"}, resume=True).trials) == 20


def test_the_time_limit_holds_over_sessions(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 6))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    search(tmp_path, ToyProblem(), num_rollouts=100, minutes=0.5)
    journal = Journal(tmp_path, {"name": "random"}, resume=True)
    assert len(journal.trials) == 5  # six seconds each
    search(tmp_path, ToyProblem(), num_rollouts=100, minutes=0.6)
    assert len(Journal(tmp_path, {"name": "random"}, resume=True).trials) == 6


def test_a_search_without_progress_ends_early_but_not_before_its_least(tmp_path):
    class Flat(ToyProblem):
        def score(self, values):
            return Score(0.5, 0.5)

    search(tmp_path / "a", Flat(), num_rollouts=40, planned=40, min_rollouts=5)
    assert len(Journal(tmp_path / "a", {"name": "random"}, resume=True).trials) == 21
    search(tmp_path / "b", Flat(), num_rollouts=40, planned=40, min_rollouts=33)
    assert len(Journal(tmp_path / "b", {"name": "random"}, resume=True).trials) == 33


def test_equal_rewards_go_by_the_loss(tmp_path):
    class Coarse(ToyProblem):
        def score(self, values):
            accuracy = self.accuracy(values)
            return Score(0.5, 1.0 - accuracy)

    run = search(tmp_path, Coarse(), num_rollouts=20, planned=20)
    trials = Journal(tmp_path, {"name": "random"}, resume=True).trials
    assert run.best.loss == min(trial.loss for trial in trials)


@pytest.mark.parametrize(("error", "ends"), [(MemoryError("x"), True), (ValueError("x"), False)])
def test_what_one_of_several_workers_lacks_ends_the_search(error, ends, tmp_path, monkeypatch):
    """The others wait for its part; what is wrong with a candidate they all find."""

    class Failing(ToyProblem):
        def score(self, values):
            raise error

    run = SearchRun(
        Failing(), lambda env: None, Journal(tmp_path, {}, resume=True), Limits(num_rollouts=1)
    )
    monkeypatch.setattr(failing, "current", lambda: MultiGpuWrapper(1, 2))
    if ends:
        with pytest.raises(MemoryError):
            run._scored(np.array([4, 4, 4, 4]))
    else:
        assert run._scored(np.array([4, 4, 4, 4]))[2] == "ValueError: x"


def test_what_fails_in_one_workers_part_fails_for_all_and_the_search_goes_on(tmp_path, monkeypatch):
    """Nobody waits for ever: the exchange behind the parts is left out by all, or by nobody."""

    class Divided(ToyProblem):
        def __init__(self, workers):
            super().__init__()
            self.workers = workers

        def score(self, values):
            with self.workers.failing_together():
                if self.workers.rank == 1 and values[0] % 2:
                    raise ValueError("an image of this part")
            (total,) = self.workers.sum_arrays([np.ones(1)])
            return dataclasses.replace(super().score(values), loss=float(total[0]))

    def work(workers):
        own.workers = workers
        search(tmp_path / str(workers.rank), Divided(workers))
        return Journal(tmp_path / str(workers.rank), {"name": "random"}, resume=True).trials

    own = threading.local()
    monkeypatch.setattr(driver, "current", lambda: own.workers)
    monkeypatch.setattr(failing, "current", lambda: own.workers)
    zero, one = run_workers(monkeypatch, 2, work)
    assert len(zero) == len(one) == 12
    failed = [trial.index for trial in zero if trial.choices["layer0"] % 2]
    for trials in (zero, one):
        assert [trial.index for trial in trials if trial.reward is None] == failed != []
        assert {trial.loss for trial in trials if trial.index not in failed} == {2.0}
    assert zero[failed[0]].error.startswith("InputError: worker 1: ValueError: an image of this")
    assert one[failed[0]].error == "ValueError: an image of this part"


@pytest.mark.parametrize(("error", "raised"), [(MemoryError, True), (ValueError, False)])
def test_measured_losses_go_by_the_same_rule(error, raised, monkeypatch):
    class Failing(ToyProblem):
        def score(self, values):
            raise error

    for measure in (calibrated_errors, lambda problem: measured_harms(problem, np.full(4, 8))):
        monkeypatch.setattr(failing, "current", lambda: MultiGpuWrapper(1, 2))
        if raised:
            with pytest.raises(MemoryError):
                measure(Failing())
        else:
            assert np.isfinite(measure(Failing())).all()
        monkeypatch.setattr(failing, "current", MultiGpuWrapper)
        assert np.isfinite(measure(Failing())).all()
