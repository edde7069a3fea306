import json
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from learners import learner_class
from learners.base import Trained
from learners.channels.groups import prunable_groups
from learners.channels.problem import channel_problem
from learners.context import StageContext
from learners.search.journal import Journal
from learners.search.rewards import Score
from learners.search.stage import SearchedStage
from learners.setting import read_setting
from pipeline import stages
from tests.learners.runs import TWO_STEPS, compress, make_run
from utils.errors import InputError
from utils.graph import from_keras
from utils.training.metrics import Scores, scalar

ROOT = pathlib.Path(__file__).parents[3]
SEARCH = {
    "budget": "flops:0.4",
    "cpr_search": True,
    "cpr_nb_rlouts": 8,
    "cpr_nb_rlouts_min": 8,
    "cpr_nb_smpls_search": 100,
    "nb_epochs": TWO_STEPS,
}


def make_stage(folder, scorer=None, **values):
    """A searched stage of an untrained network; `scorer` replaces the real one."""
    plan, helper = make_run("chn-pruned-rmt", pathlib.Path(folder), **(SEARCH | values))
    model = stages.initial_network(plan, helper)
    context = StageContext(
        run=plan.run,
        stage=plan.stages[0],
        helper=helper,
        budget=plan.budget,
        log_dir=plan.log_dir,
    )
    learner = learner_class("chn-pruned-rmt")(context, model)
    graph = from_keras(model)
    groups = prunable_groups(graph, learner.config)
    problem = channel_problem(
        learner, graph, groups, plan.budget, learner.sampler, num_sampled=learner.num_images
    )
    if scorer is not None:
        problem._scorer = scorer
    return SearchedStage(learner, problem)


def pretend(counts):
    """A scorer that takes no time: the first layers are worth most."""
    accuracy = (
        sum(count * weight for count, weight in zip(counts.values(), (4, 3, 2, 1), strict=True))
        / 1000
    )
    return Score(accuracy, 1.0 - accuracy)


def search(folder, **values):
    stage = make_stage(folder, **values)
    best = stage.search()
    return best, stage._journal.trials


def without_seconds(trials):
    return [{**vars(trial), "seconds": 0} for trial in trials]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run with a search: its folder and report."""
    folder = tmp_path_factory.mktemp("searched")
    return folder, compress("chn-pruned-rmt", folder, **SEARCH)


def test_the_report_has_every_roll_out_the_winner_and_uniform(finished):
    _, report = finished
    (search,) = report.searches
    assert (search.stage, search.quantity) == ("chn-pruned-rmt", "channels")
    assert search.agent == "greedy"
    assert search.budget == "flops:0.4"
    assert [rollout.index for rollout in search.rollouts] == list(range(8))
    bests = [rollout.best for rollout in search.rollouts]
    assert bests == sorted(bests)
    assert search.uniform.setting.keys() == {"conv1", "conv2", "conv3", "fc1"}
    assert search.uniform.reward == search.rollouts[0].reward
    assert search.uniform.top1 is not None
    if search.winner is not None:
        assert search.winner.reward == max(bests)
        assert search.winner.top1 is not None
    assert {"search", "tables", "selection", "fine_tuning"} <= report.seconds.keys()
    assert any(note.startswith("search: 8 roll-outs by greedy, 0 failed") for note in report.notes)


def test_the_network_is_that_of_the_kept_setting_and_within_the_budget(finished):
    folder, report = finished
    (search,) = report.searches
    kept = getattr(search, search.kept)
    for name, ratio in kept.setting.items():
        (layer,) = (layer for layer in report.layers if layer.name == name)
        assert layer.channels_out_after == round((1 - ratio) * layer.channels_out_before)
    assert report.after.flops == pytest.approx(0.4 * report.before.flops, rel=0.02)
    setting = read_setting(folder / "ratios.json")
    assert setting.facts["cost"]["flops"] == report.after.flops


def test_nothing_is_fine_tuned_on_what_is_held_out(tmp_path, monkeypatch):
    stage = make_stage(tmp_path)
    trained = []

    def train(learner):
        trained.append(learner.context.holds_out)
        return Trained(learner.model)

    monkeypatch.setattr(type(stage._learner), "train", train)
    stage._tuned("uniform", stage._problem.uniform(), None)
    assert trained == [True]


def test_both_are_fine_tuned_alike(finished):
    _, report = finished
    stages = {point.stage for point in report.training}
    assert "chn-pruned-rmt:uniform" in stages
    steps = {point.stage: point.step for point in report.training}
    assert len(set(steps.values())) == 1


def test_a_finished_run_is_not_searched_again(finished, monkeypatch):
    folder, report = finished
    monkeypatch.setattr("learners.search.stage.SearchRun._scored", None)
    again = compress(
        "chn-pruned-rmt", folder, **(SEARCH | {"agent": "greedy", "search_minutes": 60.0})
    )
    assert again.searches == report.searches
    assert [layer.params_after for layer in again.layers] == [
        layer.params_after for layer in report.layers
    ]


def test_a_setting_gives_the_same_network_without_a_search(finished, tmp_path):
    folder, report = finished
    values = {name: value for name, value in SEARCH.items() if name != "budget"}
    again = compress(
        "chn-pruned-rmt",
        tmp_path,
        **(values | {"cpr_search": False, "setting": str(folder / "ratios.json")}),
    )
    assert again.after.params == report.after.params
    assert again.after.flops == report.after.flops
    assert again.searches == ()


def test_a_setting_of_another_network_is_refused(tmp_path):
    document = {
        "schema_version": 1,
        "quantity": "channels",
        "network": {"conv1": 99},
        "keep": {"conv1": 9},
    }
    (tmp_path / "ratios.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="'conv1' has 32 channels here, 99 there"):
        compress("chn-pruned-rmt", tmp_path, setting=str(tmp_path / "ratios.json"))


KILLED = """
import os, signal, sys
from learners.search.journal import Journal
from tests.learners.search.stage_test import search

append = Journal.append

def killing(self, trial):
    append(self, trial)
    if trial.index == 4:  # the line is written, the agent's state is not
        os.kill(os.getpid(), signal.SIGKILL)

Journal.append = killing
search(sys.argv[1])
"""


def test_a_search_that_was_killed_goes_on_to_the_same_best(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "killed")], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    lines = (tmp_path / "killed" / "search.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 5
    assert (tmp_path / "killed" / "ratios.json").exists()
    resumed, trials = search(tmp_path / "killed")
    whole, expected = search(tmp_path / "whole")
    assert without_seconds(trials) == without_seconds(expected)
    assert resumed.index == whole.index


def test_a_resume_with_changed_flags_names_them(tmp_path):
    search(tmp_path, scorer=pretend)
    with pytest.raises(InputError, match=r"cpr_nb_rlouts \(was 8, is 9\)"):
        search(tmp_path, scorer=pretend, cpr_nb_rlouts=9)
    with pytest.raises(InputError, match=r"agent \(was 'greedy', is 'random'\)"):
        search(tmp_path, scorer=pretend, agent="random")


def test_a_resume_with_other_weights_is_refused(tmp_path, monkeypatch):
    search(tmp_path, scorer=pretend)
    monkeypatch.setattr("learners.base.network_digest", lambda model: "another")
    with pytest.raises(InputError, match=r"start \(was '[0-9a-f]{16}', is 'another'\)"):
        search(tmp_path, scorer=pretend)


def test_a_resumed_search_says_where_it_goes_on(tmp_path, capsys, monkeypatch):
    append = Journal.append

    def killing(self, trial):
        append(self, trial)
        if trial.index == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", killing)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, scorer=pretend, agent="random")
    assert "going on" not in capsys.readouterr().err
    monkeypatch.setattr(Journal, "append", append)
    _, trials = search(tmp_path, scorer=pretend, agent="random")
    best = max(trials[:5], key=lambda trial: trial.rank)
    assert (
        "chn-pruned-rmt: the search by random is going on at roll-out 5 of 8; best "
        f"{best.reward:.4g} (roll-out {best.index})"
    ) in capsys.readouterr().err
    search(tmp_path, scorer=pretend, agent="random")
    assert "the search by random is finished after 8 of 8 roll-outs" in capsys.readouterr().err


def test_who_won_is_printed(tmp_path, monkeypatch, capsys):
    stage = make_stage(tmp_path, scorer=pretend, agent="random")
    tuned = []

    def train(learner):
        tuned.append(learner.teaching)
        return Trained(learner.model)

    monkeypatch.setattr(type(stage._learner), "train", train)
    stage.run()
    assert stage._learner.teaching in tuned  # of the network that is kept
    verdict = next(note for note in stage._learner.notes if note.startswith("search: "))
    assert verdict.startswith("search: 8 roll-outs by random, 0 failed; after the same fine-tuning")
    assert verdict.endswith(("kept: winner.", "kept: uniform."))
    assert f"chn-pruned-rmt: {verdict}" in capsys.readouterr().err


def test_another_time_limit_is_no_change(tmp_path):
    best, trials = search(tmp_path, scorer=pretend)
    again, same = search(tmp_path, scorer=pretend, search_minutes=5.0)
    assert (again, same) == (best, trials)


def test_the_best_so_far_is_on_disk_after_every_improvement(tmp_path, monkeypatch):
    kept = []
    append = Journal.append

    def watching(self, trial):
        if trial.index:
            kept.append(json.loads((tmp_path / "ratios.json").read_text())["rollout"])
        append(self, trial)

    monkeypatch.setattr(Journal, "append", watching)
    best, trials = search(tmp_path, scorer=pretend, agent="evolution")
    expected = [max(trials[:n], key=lambda t: (t.rank, -t.index)).index for n in range(1, 8)]
    assert kept == expected
    assert json.loads((tmp_path / "ratios.json").read_text())["rollout"] == best.index


def test_multi_obj_may_stay_below_the_budget(tmp_path):
    best, trials = search(
        tmp_path,
        scorer=lambda counts: Score(0.9, 0.1),
        agent="random",
        cpr_reward_type="multi-obj",
        cpr_reward_policy="flops",
    )
    flops = [trial.cost["flops"] for trial in trials]
    assert best.cost["flops"] == min(flops) < 0.9 * flops[0]
    assert best.reward == pytest.approx(-0.15 * np.log(min(flops)))


def test_multi_obj_keeps_the_better_reward(tmp_path, monkeypatch):
    stage = make_stage(
        tmp_path,
        scorer=lambda counts: Score(0.9, 0.1),
        agent="random",
        cpr_reward_type="multi-obj",
        cpr_reward_policy="flops",
    )
    accuracies = iter([0.90, 0.86])  # of uniform and of the winner, which is smaller
    monkeypatch.setattr(
        "learners.search.stage.evaluate",
        lambda *_: Scores({"accuracy": next(accuracies), "loss": 0.5}, scalar("accuracy")),
    )
    monkeypatch.setattr(type(stage._learner), "train", lambda learner: Trained(learner.model))
    kept = []
    monkeypatch.setattr(SearchedStage, "_report", lambda stage, tuned, name: kept.append(name))
    stage.run()
    assert kept == ["winner"]


def test_without_an_agent_multi_obj_takes_one_that_may_stay_below(tmp_path):
    multi = {"cpr_reward_type": "multi-obj", "cpr_reward_policy": "flops"}
    assert make_stage(tmp_path / "a", **multi)._agent_name == "evolution"
    assert make_stage(tmp_path / "b")._agent_name == "greedy"


def test_uniform_as_the_best_setting_is_tuned_once(tmp_path):
    rollouts = {"cpr_nb_rlouts": 1, "cpr_nb_rlouts_min": 1}
    report = compress("chn-pruned-rmt", tmp_path, **(SEARCH | rollouts))
    (search,) = report.searches
    assert search.kept == "uniform"
    assert search.winner.index == 0
    assert search.winner.setting == search.uniform.setting
    assert search.winner.top1 == search.uniform.top1 == report.after.top1
    assert len([point for point in report.training if point.epoch == 1]) == 1


def test_tensorboard_shows_every_roll_out(finished):
    folder, report = finished
    (file,) = folder.glob("**/chn-pruned-rmt/search/events*")
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    rollouts = report.searches[0].rollouts
    assert found["reward"] == pytest.approx([rollout.reward for rollout in rollouts])
    assert found["best_reward"] == pytest.approx([rollout.best for rollout in rollouts])
