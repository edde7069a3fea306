import numpy as np
import pytest

from learners.channel_pruning_rmt.learner import ChannelPrunedRmtLearner
from learners.channels.criteria import CRITERIA
from learners.context import StageContext
from pipeline import stages
from tests.learners.runs import compress, make_run
from utils.graph import from_keras


def learner_in(folder, model, **values):
    plan, helper = make_run("chn-pruned-rmt", folder, **{"nb_epochs": "0", **values})
    context = StageContext(
        run=plan.run, stage=plan.stages[0], helper=helper, budget=plan.budget, log_dir=plan.log_dir
    )
    return ChannelPrunedRmtLearner(context, model)


def filters(model):
    return [model.get_layer(name).filters for name in ("conv1", "conv2", "conv3")]


@pytest.fixture(scope="module")
def pruned(trained_digits, tmp_path_factory):
    """A learner that has cut half of the channels, without fine-tuning."""
    folder = tmp_path_factory.mktemp("pruned")
    learner = learner_in(folder, trained_digits, cpr_nb_smpls=400, cpr_nb_crops_per_smpl=8)
    return learner, learner.train().model


def test_cuts_what_the_ratio_says(pruned, trained_digits):
    learner, model = pruned
    assert filters(model) == [16, 32, 32]
    assert model.get_layer("fc1").units == 32
    assert filters(trained_digits) == [32, 64, 64]
    assert set(learner.layers) == {"conv2", "conv3", "fc1", "fc2"}
    assert all(0 <= facts["error"] < 1 for facts in learner.layers.values())
    assert "selection" in learner.seconds


def test_keeps_most_of_the_accuracy(pruned, trained_digits):
    learner, model = pruned
    before, after = (
        stages.measurement.score(learner.helper, network)["accuracy"]
        for network in (trained_digits, model)
    )
    assert after > before - 0.1


def test_warm_start_takes_the_channels_of_a_file(pruned, trained_digits, tmp_path):
    _, model = pruned
    model.save(tmp_path / "warm.keras")
    learner = learner_in(
        tmp_path / "out",
        trained_digits,
        cpr_warm_start=True,
        cpr_save_path_ws=str(tmp_path / "warm.keras"),
    )
    started = learner.train().model
    assert "selection" not in learner.seconds
    for one, other in zip(started.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_flags_reach_the_selection(trained_digits, tmp_path):
    learner = learner_in(
        tmp_path,
        trained_digits,
        cpr_criterion="backward",
        cpr_ista_nb_iters=7,
        cpr_refit_all=False,
        cpr_compensate=False,
    )
    options = learner.options()
    assert (options.criterion, options.num_iterations) == (CRITERIA["backward"], 7)
    assert (options.refit_all, options.compensate) == (False, False)
    sampler = learner.sampler()
    assert sampler.num_positions == 4
    assert sum(len(batch) for batch in sampler.batches) == 128


def test_fewer_positions_than_unknowns_are_said(pruned, trained_digits, tmp_path):
    few = {"cpr_nb_smpls": 20, "cpr_nb_crops_per_smpl": 2}
    learner = learner_in(tmp_path, trained_digits, **few)
    learner.train()
    (note,) = (note for note in learner.notes if "fewer positions than unknowns" in note)
    assert (
        "conv2, conv3, fc1" in note and "20 for 1,024" in note and "--cpr_nb_crops_per_smpl" in note
    )
    (other,) = pruned[0].notes  # 3,200 positions of convolutions, but 400 images
    assert "unknowns in fc1 (at worst 400 for 1,024)" in other


def test_budget_rules_over_the_ratio(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, budget="flops:0.5", cpr_prune_ratio=0.9)
    graph = from_keras(trained_digits)
    result = learner.select(graph)
    kept = [int(mask.sum()) for mask in result.keep.values()]
    assert min(kept) > 10  # a ratio of 0.9 would leave 3 and 6


def test_a_second_round_goes_on_from_the_first(pruned, tmp_path):
    _, model = pruned
    report = compress("chn-pruned-rmt", tmp_path, model, nb_epochs="0")
    assert filters(report.model) == [8, 16, 16]


def test_twice_in_one_pipeline(trained_digits, tmp_path):
    report = compress("chn-pruned-rmt,chn-pruned-rmt", tmp_path, trained_digits, nb_epochs="0.09,0")
    assert filters(report.model) == [8, 16, 16]
    assert report.before.params == trained_digits.count_params()
    assert (tmp_path / "model_1_chn_pruned_rmt.keras").is_file()
