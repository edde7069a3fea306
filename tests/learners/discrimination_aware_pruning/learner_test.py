import json

import keras
import numpy as np
import pytest

import main
from learners.channels import measured
from learners.channels.groups import prunable_groups
from learners.context import StageContext
from learners.discrimination_aware_pruning.learner import DisChnPrunedLearner
from learners.discrimination_aware_pruning.selection import StageSelection
from nets.config import KerasModelConfig
from nets.keras_model_helper import KerasModelHelper
from pipeline import stages
from tests.learners.runs import TWO_STEPS, make_run
from utils.errors import InputError
from utils.training import callbacks

NAME = "dis-chn-pruned"


def learner_in(folder, model, own_helper=None, **values):
    plan, helper = make_run(NAME, folder, **{"nb_epochs": "0", **values})
    stage = plan.stages[0]
    context = StageContext(
        run=plan.run,
        stage=stage,
        helper=own_helper or helper,
        budget=plan.budget,
        setting=plan.setting_of(stage),
        log_dir=plan.log_dir,
    )
    return DisChnPrunedLearner(context, model)


def filters(model):
    return [model.get_layer(name).filters for name in ("conv1", "conv2", "conv3")]


def accuracy(learner, model):
    return stages.measurement.score(learner.helper, model)["accuracy"]


# --- a whole run ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pruned(trained_digits, tmp_path_factory):
    """Half of the channels gone, with the default iterations, before fine-tuning."""
    flags = {"dcp_nb_iters_block": 10000, "dcp_nb_iters_layer": 500, "dcp_nb_smpls": 600}
    learner = learner_in(tmp_path_factory.mktemp("pruned"), trained_digits, **flags)
    return learner, learner.train().model


def test_cuts_what_the_ratio_says(pruned, trained_digits):
    learner, model = pruned
    assert filters(model) == [16, 32, 32]
    assert model.get_layer("fc1").units == 32
    assert filters(trained_digits) == [32, 64, 64]
    assert {layer: facts["stage"] for layer, facts in learner.layers.items()} == {
        "conv2": 1, "conv3": 2, "fc1": 3, "fc2": 4
    }  # fmt: skip
    assert all(0 < facts["error"] < 1 for facts in learner.layers.values())


def test_the_accuracy_stays_near_that_of_the_network_before(pruned, trained_digits):
    learner, model = pruned
    before, after = (accuracy(learner, network) for network in (trained_digits, model))
    assert before > 0.8
    assert after > before - 0.05


def test_heads_and_their_losses_are_gone_from_the_artefact(pruned, trained_digits):
    learner, model = pruned
    assert [layer.name for layer in model.layers] == [layer.name for layer in trained_digits.layers]
    assert [tuple(output.shape) for output in model.outputs] == [(None, 10)]
    assert not model.losses
    terms = {row["stage"]: "discrimination" in row for row in learner.history}
    assert terms == {
        f"{NAME}: stage_1": True,
        f"{NAME}: stage_2": True,
        f"{NAME}: stage_3": True,
        f"{NAME}: stage_4": False,
    }


def test_the_report_states_the_scaling(pruned):
    learner, _ = pruned
    assert learner.notes == [
        "4 stages; iterations scaled to the data set: 50 of 10000 in each stage, 50 of 500 for "
        "each layer."
    ]
    last = {row["stage"]: row["step"] for row in learner.history}
    assert last == {f"{NAME}: stage_{number}": 50 for number in (1, 2, 3, 4)}
    assert {"selection", "stage_1", "stage_4"} <= learner.seconds.keys()


def test_counts_as_they_are_given(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, dcp_scale_iters=False, dcp_nb_iters_block=10000)
    assert learner.iterations(10000, 0.25) == 10000
    assert learner.iterations_note(2) == (
        "2 stages; iterations: 10000 of 10000 in each stage, 4 of 4 for each layer."
    )


# --- a run that was killed ------------------------------------------------------------------------


class KilledError(BaseException):
    """Stands for a kill: nothing after it is done."""


def kill_choice(patch, at):
    """Kill while the `at`-th choice is made."""
    choose, made = StageSelection.choose, []

    def killed(self, group, num_keep):
        made.append(group.name)
        if len(made) == at:
            raise KilledError
        return choose(self, group, num_keep)

    patch.setattr(StageSelection, "choose", killed)


def kill_step(patch, at):
    """Kill at the `at`-th training step, counted over all fits."""
    count, made = callbacks.Recorder.on_train_batch_end, []

    def killed(self, batch, logs=None):
        made.append(batch)
        if len(made) == at:
            raise KilledError
        count(self, batch, logs)

    patch.setattr(callbacks.Recorder, "on_train_batch_end", killed)


def small_network():
    """Two convolutions: one layer to prune in each of two stages."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 1))
    for name, width in (("first", 8), ("second", 6)):
        x = keras.layers.Conv2D(width, 3, use_bias=False, name=name)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="last")(x))


def trained(folder, **values):
    """Train a learner of the small network, as a new process would."""
    flags = {"save_step": 1, "nb_epochs": TWO_STEPS, "dcp_nb_stages": 1, **values}
    learner = learner_in(folder, small_network(), **flags)
    return learner, learner.train().model


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"))


def count_choices(patch):
    choose, made = StageSelection.choose, []

    def counted(self, group, num_keep):
        made.append(group.name)
        return choose(self, group, num_keep)

    patch.setattr(StageSelection, "choose", counted)
    return made


@pytest.mark.parametrize(
    ("kill", "at", "left"),
    [
        (kill_choice, 2, ["second"]),
        (kill_step, 4, ["second"]),
        (kill_step, 6, []),
    ],
    ids=["second choice", "second stage", "fine-tuning"],
)
def test_killed_anywhere_it_ends_with_the_same_bits_and_chooses_nothing_twice(
    kill, at, left, whole, tmp_path
):
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, at)
        with pytest.raises(KilledError):
            trained(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        made = count_choices(patch)
        learner, model = trained(tmp_path)
    assert made == left
    for one, other in zip(model.weights, whole[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (learner.layers, learner.notes) == (whole[0].layers, whole[0].notes)
    assert list(learner.seconds) == list(whole[0].seconds)
    assert learner.seconds["selection"] > 0


# --- how many channels ----------------------------------------------------------------------------


def counts(learner):
    return learner.counts(prunable_groups(learner.graph, learner.config))


def test_a_budget_rules_over_the_ratio(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, budget="flops:0.5", dcp_prune_ratio=0.9)
    assert min(counts(learner).values()) > 10  # a ratio of 0.9 would leave 3 and 6


def test_a_resumed_run_goes_on_with_what_was_measured(trained_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "convert", lambda model, kind: bytes(4 * model.count_params()))
    first = counts(learner_in(tmp_path, trained_digits, budget="bytes:0.5"))
    monkeypatch.setattr(measured, "convert", None)
    assert counts(learner_in(tmp_path, trained_digits, budget="bytes:0.5")) == first
    with pytest.raises(TypeError):
        counts(learner_in(tmp_path, trained_digits, budget="bytes:0.5", resume=False))


def test_a_setting_says_what_stays(trained_digits, tmp_path):
    sizes = {"conv1": 32, "conv2": 64, "conv3": 64, "fc1": 64}
    values = {"conv1": 32, "conv2": 7, "conv3": 5, "fc1": 64}
    document = {"schema_version": 2, "quantity": "channels", "network": sizes, "values": values}
    (tmp_path / "ratios.json").write_text(json.dumps(document))
    flags = {"setting": str(tmp_path / "ratios.json"), "dcp_nb_stages": 0}
    learner = learner_in(tmp_path / "out", trained_digits, **flags)
    model = learner.train().model
    assert filters(model) == [32, 7, 5]
    assert learner.layers.keys() == {"conv3", "fc1"}  # where nothing goes nothing is chosen


# --- other tasks, wrong flags ---------------------------------------------------------------------


def regression():
    """A network of one number per image, with data for it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6, 6, 2)).astype(np.float32)
    inputs = keras.Input((6, 6, 2))
    y = keras.layers.Conv2D(6, 3, name="a")(inputs)
    y = keras.layers.Conv2D(4, 3, name="b")(keras.layers.ReLU()(y))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(y))
    model = keras.Model(inputs, keras.layers.Dense(1, name="c")(y))
    model.compile(loss="mse", optimizer="sgd")
    data = x, x.mean(axis=(1, 2, 3))[:, None] * 10
    return model, KerasModelHelper(model, data, data, KerasModelConfig(batch_size=8), seed=0)


def test_a_task_without_classes_is_refused_and_pruned_by_its_own_loss(tmp_path):
    model, helper = regression()
    plan, _ = make_run(NAME, tmp_path, nb_epochs="0", dcp_nb_stages=1)
    with pytest.raises(InputError, match=r"`dcp_nb_stages`: .* Give --dcp_nb_stages=0"):
        stages.compress(plan, helper, model)
    assert not (tmp_path / "state").exists()  # before anything was trained
    plan, _ = make_run(NAME, tmp_path, nb_epochs="0", dcp_nb_stages=0)
    report = stages.compress(plan, helper, model)
    assert report.model.get_layer("a").filters == 3
    assert [point.stage for point in report.training] == [f"{NAME}: stage_1"]


def test_sample_weights_ride_along(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 8, 8, 1)).astype(np.float32), rng.integers(0, 10, 64)
    data = x, y, np.ones(64, np.float32)
    model = small_network()
    helper = KerasModelHelper(model, data, (x, y), KerasModelConfig(batch_size=16), seed=0)
    after = learner_in(tmp_path, model, helper, dcp_nb_stages=1).train().model
    assert [after.get_layer(name).filters for name in ("first", "second")] == [4, 3]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--dcp_nb_stages=9", "`dcp_nb_stages`: 9 additional losses would make stages overlap"),
        ("--dcp_nb_stages=-1", "`dcp_nb_stages` must be in [0, 100]. Received: -1"),
        ("--dcp_prune_ratio=1", "`dcp_prune_ratio` must be in [0, 1). Received: 1.0"),
        ("--dcp_prune_ratio=0.5 --budget=flops:0.5", "dcp_prune_ratio"),
        ("--dcp_skip_op_names=conv9", "`dcp_skip_op_names`: no layer"),
        ("--dcp_residual=gather", "`dcp_residual` must be one of 'inner', 'joint'"),
        ("--dcp_nb_iters_layer=0", "`dcp_nb_iters_layer` must be in [1, 1000000]"),
        ("--dcp_nb_stage=2", "Did you mean --dcp_nb_stages"),
        ("--cpr_prune_ratio=0.5", "it belongs to --learner=chn-pruned-rmt"),
    ],
)
def test_wrong_flags_are_one_line_before_any_training(
    flags, message, trained_digits, tmp_path, capfd
):
    trained_digits.save(tmp_path / "trained.keras")
    argv = ["--model_helper=convnet_at_digits", f"--learner={NAME}", *flags.split()]
    argv += [f"--pretrained_path={tmp_path / 'trained.keras'}", f"--out_dir={tmp_path / 'out'}"]
    assert main.run(argv) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert message in lines[-1]
    assert not (tmp_path / "out" / "state").exists()


def test_a_trial_is_the_kind_of_network_that_it_leaves(trained_digits, pruned):
    learner, model = pruned
    trial = DisChnPrunedLearner.trial(trained_digits, learner.config, allow_unsafe=False)
    assert filters(trial) == filters(model)


def test_divergence_names_the_stage_s_own_rate(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, dcp_lrn_rate_adam=0.5)
    assert learner._advice("stage_1") == "Lower --dcp_lrn_rate_adam: it was 0.5, try 0.05."
    assert "lrn_rate_ft" in learner._advice("fine_tuning")
