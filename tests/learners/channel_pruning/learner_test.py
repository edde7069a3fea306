"""The recipe on the embedded digits: ratios by hand, group tuning, kills; searches beside it."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.budget import parse_budget
from learners.channel_pruning.learner import ChannelPrunedLearner
from learners.channels.criteria import CRITERIA
from learners.channels.groups import prunable_groups
from learners.channels.selection import halved
from learners.context import StageContext
from learners.identity import network_digest
from learners.reconstruction.sampling import Sampler
from learners.setting import read_setting
from tests.learners import networks
from tests.learners.runs import TWO_STEPS, compress, make_run
from utils.errors import InputError
from utils.graph import complexity, copy_network, from_keras, shrink, to_keras
from utils.training import callbacks

SIZES = {"conv1": 32, "conv2": 64, "conv3": 64, "fc1": 64}
NAMES = tuple(SIZES)
UNIFORM = {"cp_prune_option": "uniform", "cp_uniform_preserve_ratio": 0.5}
TUNED = {
    **UNIFORM, "cp_finetune": True, "cp_list_group": 2, "cp_nb_iters_ft_ratio": 0.75,
    "cp_lrn_rate_ft": 0.01, "nb_epochs": "0.2", "save_step": 1,
}  # fmt: skip  # two groups of two layers, 4 steps between them and 5 after


def learner_in(folder, model, **values):
    plan, helper = make_run("channel", folder, **{"nb_epochs": "0", **values})
    context = StageContext(
        run=plan.run,
        stage=plan.stages[0],
        helper=helper,
        budget=plan.budget_of(plan.stages[0]),
        setting=plan.setting,
        log_dir=plan.log_dir,
    )
    keras.utils.set_random_seed(0)  # as a new process begins
    return ChannelPrunedLearner(context, copy_network(model, allow_unsafe=False))


def widths(model):
    return [model.get_layer(name).output.shape[-1] for name in NAMES]


def assert_same(one, other):
    for first, second in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(first, second)


# --- how much stays -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"cp_uniform_preserve_ratio": 0.25}, [8, 16, 16, 16]),
        ({"cp_uniform_preserve_ratio": 0.6, "cp_quadruple": True}, [20, 40, 40, 40]),
    ],
)
def test_uniform_keeps_the_stated_share_of_each_layer(trained_digits, tmp_path, values, wanted):
    learner = learner_in(tmp_path, trained_digits, cp_prune_option="uniform", **values)
    assert widths(learner.train().model) == wanted
    assert widths(trained_digits) == [32, 64, 64, 64]


def list_file(folder, text):
    (folder / "my.list").write_text(text)
    return {"cp_prune_option": "list", "cp_prune_list_file": str(folder / "my.list")}


def test_a_list_is_obeyed_layer_by_layer(trained_digits, tmp_path):
    flags = list_file(tmp_path, "0.5, 1.0, 0.1875, 0.25")
    learner = learner_in(tmp_path, trained_digits, **flags)
    assert widths(learner.train().model) == [16, 64, 12, 16]


def test_a_list_of_another_length_is_refused_before_anything_is_trained(trained_digits, tmp_path):
    flags = list_file(tmp_path, "0.5, 0.5")
    message = r"`cp_prune_list_file`: .*my.list holds 2 ratios, and 4 layers .*: conv1, conv2, conv"
    with pytest.raises(InputError, match=message):
        compress("full-prec,channel", tmp_path / "out", **flags)
    assert not (tmp_path / "out").exists()


def test_a_list_that_changed_is_another_run(trained_digits, tmp_path):
    digests = []
    for text in ("0.5, 0.5, 0.5, 0.5", "0.25, 0.5, 0.5, 0.5", "0.5, 0.5, 0.5, 0.5"):
        flags = list_file(tmp_path, text)
        digests.append(learner_in(tmp_path, trained_digits, **flags).fingerprint())
    assert digests[0] == digests[2] != digests[1]
    uniform = learner_in(tmp_path, trained_digits, **UNIFORM).fingerprint()
    assert uniform.keys() ^ digests[0].keys() == {"list_of_ratios"}


def test_a_budget_gives_uniform_counts_without_a_search(trained_digits, tmp_path):
    flags = {"cp_prune_option": "uniform", "budget": "flops:0.4"}
    learner = learner_in(tmp_path, trained_digits, **flags)
    (counts,) = learner.portions()
    graph = from_keras(trained_digits)
    keep = {name: np.arange(size) < counts[name] for name, size in SIZES.items()}
    left = complexity(shrink(graph, keep)).flops
    assert left == pytest.approx(0.4 * complexity(graph).flops, rel=0.02)


def test_flags_reach_the_selection(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, cp_nb_batches=3, cp_nb_points_per_layer=5)
    assert learner.options().criterion is CRITERIA["lasso"]
    sampler = learner.sampler()
    assert (sampler.num_images, sampler.num_positions) == (3 * 64, 5)
    assert sum(len(batch) for batch in sampler.batches) == 3 * 64
    other = learner_in(tmp_path, trained_digits, cp_lasso=False)
    assert other.options().criterion is CRITERIA["l1"]


# --- group tuning ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(trained_digits, tmp_path_factory):
    """The run that nothing disturbs: its learner and its network."""
    learner = learner_in(tmp_path_factory.mktemp("tuned"), trained_digits, **TUNED)
    return learner, learner.train().model


def test_the_network_is_tuned_after_each_group(tuned):
    learner, model = tuned
    assert widths(model) == [16, 32, 32, 32]
    rows = [(row["stage"], row["step"]) for row in learner.history]
    assert rows == [("channel: group_1", 4), ("channel", 5)]
    assert list(learner.seconds) == ["selection", "group_1", "fine_tuning"]
    assert set(learner.layers) == {"conv2", "conv3", "fc1", "fc2"}
    assert all("fewer positions than unknowns" in note for note in learner.notes)


def test_later_groups_are_pruned_from_the_tuned_network(trained_digits, tmp_path, monkeypatch):
    """Seen from outside: what each selection is given, and what each fit leaves."""
    seen = []
    pruned, fit = ChannelPrunedLearner.pruned_by, ChannelPrunedLearner.fit

    def watched_selection(self, model, counts):
        seen.append(("selects", tuple(counts), widths(model), network_digest(model)))
        return pruned(self, model, counts)

    def watched_fit(self, part, model, **options):
        before = network_digest(model)
        result = fit(self, part, model, **options)
        seen.append((part, widths(model), before, network_digest(model)))
        return result

    monkeypatch.setattr(ChannelPrunedLearner, "pruned_by", watched_selection)
    monkeypatch.setattr(ChannelPrunedLearner, "fit", watched_fit)
    learner_in(tmp_path, trained_digits, **TUNED).train()
    first, tuning, second, last = seen
    assert first == ("selects", NAMES[:2], [32, 64, 64, 64], network_digest(trained_digits))
    assert tuning[:2] == ("group_1", [16, 32, 64, 64])  # the first group is cut, not masked
    assert tuning[2] != tuning[3]  # the tuning did something
    assert second == ("selects", NAMES[2:], [16, 32, 64, 64], tuning[3])
    assert last[:2] == ("fine_tuning", [16, 32, 32, 32])


class KilledError(BaseException):
    """Stands for a kill: nothing after it is done."""


@contextlib.contextmanager
def killed(monkeypatch, where, at):
    """Kill at the `at`-th call of a method, before it does anything."""
    owner, name = where
    method, calls = getattr(owner, name), []

    def counted(self, *args, **options):
        calls.append(0)
        if len(calls) == at:
            raise KilledError
        return method(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, counted)
        with pytest.raises(KilledError):
            yield


STEP = (callbacks.Recorder, "on_train_batch_end")
SELECTION = (ChannelPrunedLearner, "pruned_by")


@pytest.mark.parametrize(
    ("where", "at"),
    [(STEP, 3), (SELECTION, 2), (STEP, 7)],
    ids=["in_the_first_fit", "between_the_groups", "in_the_last_fit"],
)
def test_killed_it_goes_on_to_the_same_bits(
    tuned, trained_digits, tmp_path, monkeypatch, where, at
):
    with killed(monkeypatch, where, at):
        learner_in(tmp_path, trained_digits, **TUNED).train()
    if at == 7:  # both selections and the first fit are over, and not done again
        monkeypatch.setattr(ChannelPrunedLearner, "pruned_by", None)
    resumed = learner_in(tmp_path, trained_digits, **TUNED)
    assert_same(resumed.train().model, tuned[1])
    assert [row["step"] for row in resumed.history] == [4, 5]
    assert resumed.layers == tuned[0].layers
    assert list(resumed.seconds) == list(tuned[0].seconds)


def test_retraining_follows_the_networks_own_schedule(trained_digits, tmp_path, monkeypatch):
    fits = {}

    def fit(self, part, model, *, schedule, num_steps, optimizer):
        fits[part] = (float(schedule(0)) if callable(schedule) else schedule, num_steps)

    monkeypatch.setattr(ChannelPrunedLearner, "fit", fit)
    monkeypatch.setattr(ChannelPrunedLearner, "pruned_by", lambda self, model, counts: model)
    flags = {**UNIFORM, "cp_retrain": True, "cp_list_group": 3, "nb_epochs": "1"}
    learner_in(tmp_path, trained_digits, lrn_rate_init=0.03, **flags).train()
    assert fits == {
        "group_1": (pytest.approx(0.03), 22),
        "fine_tuning": (pytest.approx(0.01), 22),
    }
    learner_in(tmp_path / "none", trained_digits, **{**flags, "nb_epochs": "0"}).train()
    assert fits == {"group_1": (0.0, 0), "fine_tuning": (pytest.approx(0.01), 0)}


def test_a_rate_that_is_too_high_is_named(trained_digits, tmp_path):
    flags = {**TUNED, "cp_lrn_rate_ft": 1e6, "lrn_rate_ft": 0.01}
    with pytest.raises(InputError, match=r"Lower --cp_lrn_rate_ft: it was 1e\+06, try --cp_lrn_ra"):
        learner_in(tmp_path, trained_digits, **flags).train()


def test_one_group_is_said_to_need_no_tuning(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, **UNIFORM, cp_finetune=True)
    assert learner.portions() == [{name: size // 2 for name, size in SIZES.items()}]
    assert learner.notes == [
        "group tuning had no effect: all 4 layers are one group at cp_list_group=1000."
    ]
    without = learner_in(tmp_path, trained_digits, **UNIFORM)
    assert without.portions() == learner.portions()
    assert without.notes == []


@pytest.mark.parametrize("residual", ["joint", "gather"])
def test_groups_of_a_residual_network(tmp_path, monkeypatch, residual):
    """Pruned in portions it has the widths of all at once, whatever is done about streams."""
    images = tf.data.Dataset.from_tensor_slices(networks.images()).batch(48)
    sampler = Sampler(images, num_images=48, num_positions=4, seed=0)
    monkeypatch.setattr(ChannelPrunedLearner, "sampler", lambda self: sampler)
    monkeypatch.setattr(ChannelPrunedLearner, "fit", lambda self, part, model, **options: None)
    flags = {"cp_residual": residual, "cp_finetune": True, "cp_list_group": 3}
    learner = learner_in(tmp_path, networks.residual(), **UNIFORM, **flags)
    graph = from_keras(networks.residual())
    wanted = to_keras(halved(graph, prunable_groups(graph, learner.config)))
    found = learner.train().model
    assert [v.shape for v in found.weights] == [v.shape for v in wanted.weights]


# --- the search -----------------------------------------------------------------------------------

SEARCH = {
    "cp_nb_rlouts": 6, "cp_nb_rlouts_min": 6, "cp_nb_smpls_search": 100, "nb_epochs": TWO_STEPS,
}  # fmt: skip


@pytest.fixture(scope="module")
def searched(trained_digits, tmp_path_factory):
    """A run of the default option: its folder and report."""
    folder = tmp_path_factory.mktemp("searched")
    return folder, compress("channel", folder, trained_digits, cp_preserve_ratio=0.4, **SEARCH)


def test_auto_meets_its_budget_of_multiply_adds(searched):
    folder, report = searched
    (search,) = report.searches
    assert (search.budget, len(search.rollouts)) == ("flops:0.4", 6)
    assert report.after.flops == pytest.approx(0.4 * report.before.flops, rel=0.02)
    assert read_setting(folder / "ratios.json").facts["cost"]["flops"] == report.after.flops


def test_auto_is_not_worse_than_uniform_on_the_score(searched):
    _, report = searched
    (verdict,) = (note for note in report.notes if note.startswith("search: "))
    figures = verdict.partition("training images: ")[2].partition(";")[0]
    scores = {name: float(value) for name, value in map(str.split, figures.split(", "))}
    assert scores[report.searches[0].kept] == max(scores.values())
    bests = [rollout.best for rollout in report.searches[0].rollouts]
    assert bests[-1] >= bests[0] == report.searches[0].uniform.reward  # roll-out 0 is uniform


def test_it_is_the_search_of_a_budget(trained_digits, tmp_path, monkeypatch):
    problems = []

    def stage(learner, problem):
        problems.append(problem)
        raise KilledError

    monkeypatch.setattr("learners.channels.learner.SearchedStage", stage)
    for flag in ({"cp_preserve_ratio": 0.4}, {"budget": "flops:0.4"}):
        with pytest.raises(KilledError):
            learner_in(tmp_path, trained_digits, **flag).train()
    ours, shared = problems
    assert ours.budget == shared.budget == parse_budget("flops:0.4")
    np.testing.assert_array_equal(ours.uniform(), shared.uniform())
    assert ours.num_sampled == 2 * 64


def test_a_setting_is_pruned_in_groups_too(searched, trained_digits, tmp_path):
    """Which is how both networks of a search are made."""
    path = searched[0] / "ratios.json"
    learner = learner_in(tmp_path, trained_digits, **TUNED, setting=str(path))
    portions = learner.portions()
    assert [tuple(portion) for portion in portions] == [NAMES[:2], NAMES[2:]]
    assert portions[0] | portions[1] == read_setting(path).values
