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

STEPS = """
pruners:
  l1: {criterion: l1_norm, ratio: 0.1}
  slope: {criterion: taylor, prune_type: specified_layer_prune, layers_to_be_pruned: {fc1: 0.25}}
prune_schedulers:
  - {pruner: {func_name: l1}, epochs: [0]}
  - {pruner: {func_name: slope}, epochs: [0.1]}
  - {pruner: {func_name: l1}, epochs: [0.2]}
lr_schedulers:
  - {warmup_epochs: 0.1}
  - {start_epoch: 0.1, end_epoch: 0.2, multiplier: 1.0}
  - {start_epoch: 0.2, multiplier: 0.5}
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


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_cuts_what_the_ratio_says(criterion, trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, fp_criterion=criterion, fp_nb_smpls=200)
    if criterion == "bn_gamma":  # fc1 has no batch norm
        with pytest.raises(InputError, match=r"behind 'fc1' there is none"):
            learner.train()
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
    wrong = learner_in(
        tmp_path, trained_digits, fp_prune_type="specified_layer_prune", fp_layers="cov2"
    )
    with pytest.raises(
        InputError, match=r"no layer with filters is named 'cov2'\. Did you mean 'c"
    ):
        wrong.train()


def test_a_wrong_layer_is_refused_before_training(trained_digits, tmp_path):
    with pytest.raises(InputError, match=r"`fp_layers`: the filters of 'fc2' cannot be pruned"):
        compress(
            "filter-pruned", tmp_path, trained_digits, fp_prune_type="specified_layer_prune",
            fp_layers="fc2", nb_epochs="1",
        )  # fmt: skip
    assert not list(tmp_path.glob("**/*.keras"))


def started(trained_digits):
    model = keras.models.clone_model(trained_digits)
    model.set_weights(trained_digits.get_weights())
    return model


def run(folder, trained_digits):
    (folder / "prune.yaml").write_text(STEPS, encoding="utf-8")
    return compress(
        "filter-pruned", folder / "run", started(trained_digits), save_step=1, seed=3,
        fp_config=str(folder / "prune.yaml"), fp_nb_smpls=128, nb_epochs="0.4",
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(trained_digits, tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"), trained_digits)


def test_several_steps(whole):
    assert widths(whole.model) == [26, 51, 51, 35]  # 0.8 of the original; fc1 lost 0.45 of it
    points = [(point.stage, point.step) for point in whole.training]
    assert points == [(f"filter-pruned: part_{n}", step) for n, step in ((1, 2), (2, 2), (3, 5))]
    assert "distillation" in whole.training[0].others


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
    for name, size in {"conv1": 32, "conv2": 64, "conv3": 64, "fc1": 64}.items():
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
        nb_epochs="12,6", lrn_rate_ft=0.02,
    )  # fmt: skip
    assert [report.model.get_layer(n).filters for n in ("conv1", "conv2")] == [10, 19]
    assert report.model.get_layer("fc3").units == 38
    assert report.after.params <= 0.41 * report.before.params
    assert report.after.top1 >= report.before.top1 - 0.01


def test_a_setting_says_what_stays(trained_digits, tmp_path):
    """Such as a search of another learner of channels writes."""
    sizes = {"conv1": 32, "conv2": 64, "conv3": 64, "fc1": 64}
    values = {"conv1": 20, "conv2": 10, "conv3": 64, "fc1": 7}
    Setting(quantity="channels", network=sizes, values=values).save(tmp_path / "ratios.json")
    report = compress(
        "filter-pruned", tmp_path / "run", started(trained_digits), nb_epochs="0",
        setting=str(tmp_path / "ratios.json"),
    )  # fmt: skip
    assert widths(report.model) == list(values.values())
