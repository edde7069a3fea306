import re

import keras
import numpy as np
import pytest

from learners.context import StageContext
from learners.filter_pruning.learner import FilterPrunedLearner
from learners.filters.criteria import CRITERIA
from learners.setting import Setting
from pipeline import stages
from tests.learners.runs import compress, make_run
from utils.errors import InputError
from utils.graph import complexity, from_keras
from utils.training import callbacks

SIZES = {"conv1": 32, "conv2": 64, "conv3": 64, "fc1": 64}
STEPS = """
pruners:
  l1: {criterion: l1_norm, ratio: 0.1}
  slope: {criterion: taylor, prune_type: specified_layer_prune, layers_to_be_pruned: {fc1: 0.25}}
prune_schedulers:
  - {pruner: {func_name: l1}, epochs: [0]}
  - {pruner: {func_name: slope}, epochs: [0.1]}
lr_schedulers:
  - {warmup_epochs: 0.1}
  - {start_epoch: 0.1, end_epoch: 0.15, multiplier: 1.0}
  - {start_epoch: 0.15, multiplier: 0.5}
distill: {alpha: 0.3, temperature: 4}
"""


def learner_in(folder, model, **values):
    plan, helper = make_run("filter-pruned", folder, **{"nb_epochs": "0", **values})
    context = StageContext(
        run=plan.run, stage=plan.stages[0], helper=helper, budget=plan.budget, log_dir=plan.log_dir
    )
    return FilterPrunedLearner(context, model)


def widths(model):
    convolutions = [model.get_layer(name).filters for name in ("conv1", "conv2", "conv3")]
    return [*convolutions, model.get_layer("fc1").units]


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "prune.yaml"
    path.write_text(STEPS, encoding="utf-8")
    return str(path)


def checked(model, folder, **values):
    plan, helper = make_run("filter-pruned", folder, **values)
    FilterPrunedLearner.check(model, plan.stages[0].config, helper, allow_unsafe=False)


def test_bn_gamma_without_a_batch_norm_is_refused_before_training(trained_digits, tmp_path):
    values = {"fp_criterion": "bn_gamma"}
    for own in ({}, {"budget": "flops:0.5"}):
        with pytest.raises(InputError, match=r"behind 'fc1' there is none"):
            checked(trained_digits, tmp_path, **values, **own)
        checked(trained_digits, tmp_path, **values, **own, fp_skip_op_names="fc")


def test_taylor_needs_labels(trained_digits, tmp_path, monkeypatch):
    plan, helper = make_run("filter-pruned", tmp_path, fp_criterion="taylor", fp_nb_smpls=50)
    config, dataset = plan.stages[0].config, helper.build_dataset_calibration(50)
    unlabelled = dataset.map(lambda images, labels: images)
    monkeypatch.setattr(helper, "build_dataset_calibration", lambda nb_smpls: unlabelled)
    with pytest.raises(InputError, match=r"build_dataset_calibration must give \(images, labels\)"):
        FilterPrunedLearner.check(trained_digits, config, helper, allow_unsafe=False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fp_skip_op_names": "cnov"}, r"`fp_skip_op_names`: no layer .* 'cnov'"),
        (
            {"fp_layers": "cov2", "fp_prune_type": "specified_layer_prune"},
            r"no layer with filters is named 'cov2'\. Did you mean 'conv2'",
        ),
        (
            {"fp_layers": "fc2", "fp_prune_type": "specified_layer_prune"},
            r"`fp_layers`: the filters of 'fc2' cannot be pruned",
        ),
    ],
)
def test_wrong_names_are_refused_for_a_later_stage(trained_digits, tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        compress("chn-pruned-rmt,filter-pruned", tmp_path, trained_digits, nb_epochs="0", **values)
    assert not list(tmp_path.glob("**/*.keras"))


def test_epochs_after_the_end_of_the_helpers_own_schedule(trained_digits, tmp_path):
    path = tmp_path / "prune.yaml"
    path.write_text(
        "pruners: {p: {ratio: 0.1}}\n"
        "prune_schedulers: [{pruner: {func_name: p}, epochs: [0, 1000]}]\n"
    )
    with pytest.raises(
        InputError, match=r"would go after epoch 1000, and training lasts \d+ epoch"
    ):
        compress("filter-pruned", tmp_path / "run", trained_digits, fp_config=str(path))
    assert not list(tmp_path.glob("**/*.keras"))


def test_probabilities_are_compared_as_logits(trained_digits, tmp_path, document):
    ends = keras.layers.Softmax()(trained_digits.output)
    model = keras.Model(trained_digits.input, ends)
    plan, helper = make_run("filter-pruned", tmp_path, fp_config=document, nb_epochs="1")
    stages._find_logits(plan, helper, model)
    images = next(iter(helper.build_dataset_eval()))[0]
    sums, found = trained_digits(images), helper.logits(model(images))
    np.testing.assert_allclose(
        keras.ops.softmax(found / 4.0), keras.ops.softmax(sums / 4.0), atol=0.05
    )  # the least of probabilities are clipped


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_cuts_what_the_ratio_says(criterion, trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, fp_criterion=criterion, fp_nb_smpls=200)
    if criterion == "bn_gamma":  # fc1 has no batch norm
        learner = learner_in(
            tmp_path, trained_digits, fp_criterion=criterion, fp_skip_op_names="fc"
        )
        assert widths(learner.train().model) == [16, 32, 32, 64]
        return
    model = learner.train().model
    assert widths(model) == [16, 32, 32, 32]
    assert widths(trained_digits) == [32, 64, 64, 64]
    assert bool(learner.layers) == (criterion == "obs")


def test_the_lowest_norms_go(trained_digits, tmp_path):
    model = learner_in(tmp_path, trained_digits).train().model
    before = np.asarray(trained_digits.get_layer("conv1").kernel)
    order = np.argsort(np.abs(before).sum(axis=(0, 1, 2)))[16:]
    np.testing.assert_array_equal(model.get_layer("conv1").kernel, before[..., np.sort(order)])


def test_better_criteria_keep_more_than_chance(trained_digits, tmp_path):
    """Without tuning; obs refits what is left."""
    losses = {}
    for criterion in ("obs", "taylor", "random"):
        learner = learner_in(
            tmp_path / criterion, trained_digits, fp_criterion=criterion, fp_nb_smpls=200
        )
        network = learner.train().model
        losses[criterion] = stages.measurement.score(learner.helper, network)["loss"]
    assert losses["obs"] < losses["taylor"] < losses["random"]


def test_named_layers_alone(trained_digits, tmp_path):
    learner = learner_in(
        tmp_path, trained_digits, fp_prune_type="specified_layer_prune",
        fp_layers="conv2,fc1:0.75",
    )  # fmt: skip
    assert widths(learner.train().model) == [32, 32, 64, 16]


def started(trained_digits):
    model = keras.models.clone_model(trained_digits)
    model.set_weights(trained_digits.get_weights())
    return model


def run(folder, trained_digits):
    (folder / "prune.yaml").write_text(STEPS, encoding="utf-8")
    return compress(
        "filter-pruned", folder / "run", started(trained_digits), save_step=1, seed=3,
        fp_config=str(folder / "prune.yaml"), fp_nb_smpls=128, nb_epochs="0.3",
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(trained_digits, tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"), trained_digits)


def test_several_steps(whole):
    assert widths(whole.model) == [29, 58, 58, 42]  # 0.9 of the original; fc1 lost 0.35 of it
    points = [(point.stage, point.step) for point in whole.training]
    assert points == [(f"filter-pruned: part_{n}", step) for n, step in ((1, 2), (2, 5))]
    assert "distillation" in whole.training[0].others
    text = " ".join(whole.notes)
    assert re.search(r"Distillation at temperature 4, as given by --fp_config=\S+: `distill`", text)
    assert "The teacher takes " in text


def test_killed_in_its_second_part_it_ends_with_the_same_bits(
    whole, trained_digits, tmp_path, monkeypatch
):
    count, passed = callbacks.Recorder.on_train_batch_end, []

    def interrupted(self, batch, logs=None):
        passed.append(0)
        if len(passed) == 4:
            raise KeyboardInterrupt
        count(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Recorder, "on_train_batch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, trained_digits)
    resumed = run(tmp_path, trained_digits)
    for one, other in zip(resumed.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_changed_document_is_another_run(trained_digits, tmp_path, document):
    def compared():
        learner = learner_in(tmp_path, trained_digits, fp_config=document, nb_epochs="1")
        return learner.fingerprint()["fp_config_file"]

    before = compared()
    assert compared() == before
    with open(document, "a", encoding="utf-8") as stream:
        stream.write("version: 1\n")
    assert compared() != before


def test_a_budget_over_several_steps(trained_digits, tmp_path, document):
    text = "pruners: {p: {}}\nprune_schedulers: [{pruner: {func_name: p}, epochs: [0, 0.1]}]\n"
    with open(document, "w", encoding="utf-8") as stream:
        stream.write(text)
    model = started(trained_digits)
    learner = learner_in(tmp_path, model, fp_config=document, budget="flops:0.5", nb_epochs="0.2")
    graph = from_keras(model)
    parts = learner.parts(graph)
    first, second = ({n: c for cut in part.cuts for n, c in cut.counts.items()} for part in parts)
    for name, size in SIZES.items():
        assert size - first[name] == pytest.approx((size - second[name]) / 2, abs=0.5)
    for part in parts:
        model = learner.without(model, part.cuts)
    share = complexity(from_keras(model)).flops / complexity(graph).flops
    assert share == pytest.approx(0.5, rel=0.02)


def lenet():
    """LeNet-5 for 8 x 8 digits: two convolutions with pooling, two dense layers."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = inputs
    for number, width in enumerate((16, 32), start=1):
        x = keras.layers.Conv2D(width, 3, padding="same", name=f"conv{number}")(x)
        x = keras.layers.MaxPooling2D(2)(keras.layers.ReLU()(x))
    x = keras.layers.Dense(64, activation="relu", name="fc3")(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(10, name="fc4")(x), name="lenet")


def test_lenet_loses_59_percent_of_its_parameters(tmp_path):
    """The document's recipe: four times a tenth of the width, an epoch between."""
    path = tmp_path / "prune.yaml"
    path.write_text(
        "pruners: {p: {criterion: l1_norm, prune_type: auto_prune, ratio: 0.1}}\n"
        "prune_schedulers: [{pruner: {func_name: p}, epochs: [0, 1, 2, 3]}]\n",
        encoding="utf-8",
    )
    report = compress(
        "full-prec,filter-pruned", tmp_path / "run", lenet(), fp_config=str(path),
        nb_epochs="6,4", lrn_rate_ft=0.02,
    )  # fmt: skip
    assert [report.model.get_layer(n).filters for n in ("conv1", "conv2")] == [10, 19]
    assert report.model.get_layer("fc3").units == 38
    assert report.after.params <= 0.41 * report.before.params
    assert report.after.top1 >= report.before.top1 - 0.01


def test_counts_of_a_measured_budget_are_the_same_when_it_is_resumed(
    trained_digits, tmp_path, monkeypatch
):
    def convert(model, kind):
        return bytes(4 * model.count_params())

    monkeypatch.setattr("learners.channels.measured.convert", convert)
    learner = learner_in(tmp_path, trained_digits, budget="bytes:0.5")
    graph = from_keras(trained_digits)
    (part,) = learner.parts(graph)
    monkeypatch.setattr("learners.channels.measured.convert", None)  # nothing is measured again
    assert learner_in(tmp_path, trained_digits, budget="bytes:0.5").parts(graph) == [part]


def test_a_setting_says_what_stays(trained_digits, tmp_path):
    """Such as a search of another learner of channels writes."""
    values = {"conv1": 20, "conv2": 10, "conv3": 64, "fc1": 7}
    Setting(quantity="channels", network=SIZES, values=values).save(tmp_path / "ratios.json")
    report = compress(
        "filter-pruned", tmp_path / "run", started(trained_digits), nb_epochs="0",
        setting=str(tmp_path / "ratios.json"),
    )  # fmt: skip
    assert widths(report.model) == list(values.values())
