import numpy as np
import pytest

from learners.channel_pruning_gpu.learner import ChannelPrunedGpuLearner
from learners.channels.groups import prunable_groups, ratio_counts
from learners.channels.selection import ChannelSelection
from learners.context import StageContext
from pipeline import stages
from tests.learners.runs import compress, make_run
from utils.errors import InputError
from utils.graph import from_keras, masked_model
from utils.graph.law import relative_error

THOROUGH = {"cpg_nb_smpls": 400, "cpg_nb_crops_per_smpl": 8, "cpg_nb_iters_layer": 200}
NAMES = ("conv1", "conv2", "conv3", "fc1")  # 32, 64, 64, 64 channels


class KilledError(BaseException):
    """Stands for a kill: nothing after it is done."""


def learner_in(folder, model, **values):
    plan, helper = make_run("chn-pruned-gpu", folder, **{"nb_epochs": "0", **values})
    context = StageContext(
        run=plan.run, stage=plan.stages[0], helper=helper, budget=plan.budget, log_dir=plan.log_dir
    )
    return ChannelPrunedGpuLearner(context, model)


def widths(model):
    return [model.get_layer(name).output.shape[-1] for name in NAMES]


@pytest.fixture(scope="module")
def pruned(trained_digits, tmp_path_factory):
    """Half of the channels cut without fine-tuning: learner, network."""
    folder = tmp_path_factory.mktemp("pruned")
    learner = learner_in(folder, trained_digits, **THOROUGH)
    return learner, learner.train().model


@pytest.fixture(scope="module")
def selection(trained_digits, tmp_path_factory):
    """The same selection by hand: what it began with, its object, what came of it."""
    learner = learner_in(tmp_path_factory.mktemp("selection"), trained_digits, **THOROUGH)
    graph = from_keras(trained_digits)
    groups = prunable_groups(graph, learner.config)
    counts = ratio_counts(groups, learner.config)
    made = ChannelSelection(graph, groups, counts, learner.sampler(), options=learner.options())
    return graph, made, made.run()


def test_head_and_tail_keep_their_inputs(pruned, trained_digits, tmp_path):
    learner, model = pruned
    assert widths(model) == [16, 32, 32, 64]  # fc1 is what the tail reads
    assert set(learner.layers) == {"conv2", "conv3", "fc1"}  # those that lose channels
    other = learner_in(tmp_path, trained_digits, cpg_skip_ht_layers=False, cpg_prune_ratio=0.75)
    assert widths(other.train().model) == [8, 16, 16, 16]


def test_keeps_most_of_the_accuracy(pruned, selection, trained_digits):
    learner, model = pruned
    graph, _, result = selection
    scores = [
        stages.measurement.score(learner.helper, network)["accuracy"]
        for network in (trained_digits, model, masked_model(graph, result.keep))
    ]
    assert scores[1] > scores[0] - 0.1
    assert scores[1] > scores[2]  # more than switching the same channels off leaves


def test_what_is_cut_computes_what_is_masked(pruned, selection):
    """The law, with kernels that Adam has refitted."""
    graph, made, result = selection
    masked = masked_model(graph.replace(params=made._walk.params()), result.keep)
    images = np.random.default_rng(0).random((8, 8, 8, 1), dtype=np.float32)
    assert relative_error(masked(images), pruned[1](images)) <= 1e-5


def test_a_list_is_obeyed_layer_by_layer(trained_digits, tmp_path):
    (tmp_path / "my.list").write_text("0.5, 0.0, 0.875")
    learner = learner_in(
        tmp_path, trained_digits, cpg_prune_ratio_type="list",
        cpg_prune_ratio_file=str(tmp_path / "my.list"),
    )  # fmt: skip
    assert widths(learner.train().model) == [16, 64, 8, 64]


def test_a_list_of_another_length_is_refused_with_the_layers(trained_digits, tmp_path):
    (tmp_path / "my.list").write_text("0.5")
    with pytest.raises(InputError, match=r"holds 1 ratios, and 3 layers .*: conv1, conv2, conv3"):
        compress(
            "full-prec,chn-pruned-gpu", tmp_path / "out", cpg_prune_ratio_type="list",
            cpg_prune_ratio_file=str(tmp_path / "my.list"),
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_flags_reach_the_descent(trained_digits, tmp_path, monkeypatch):
    seen = {}

    def descent(readers, num_channels, num_keep, **options):
        seen.update(options, numbers=(num_channels, num_keep))
        raise KilledError

    monkeypatch.setattr("learners.channel_pruning_gpu.learner.proximal_descent", descent)
    learner = learner_in(
        tmp_path, trained_digits, cpg_lrn_rate_pgd_init=1e-5, cpg_lrn_rate_pgd_incr=1.5,
        cpg_lrn_rate_pgd_decr=0.6, cpg_nb_iters_layer=7, cpg_lrn_rate_adam=0.02,
        cpg_prune_ratio=0.25,
    )  # fmt: skip
    with pytest.raises(KilledError):
        learner.train()
    rates = seen["rates"]
    assert (rates.initial, rates.increase, rates.decrease) == (1e-5, 1.5, 0.6)
    assert (seen["num_iterations"], seen["numbers"]) == (7, (32, 24))
    refit = learner.options().refit
    assert refit.keywords == {"lrn_rate": 0.02, "num_iterations": 7}
