"""Stages in order, teachers, scoring; whole runs are in `tests/main_test.py` and `contract`."""

import contextlib
import dataclasses

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from learners.base import Trained
from pipeline import stages
from pipeline.teacher import load_teachers
from tests.learners.runs import compress, make_run
from utils.errors import InputError
from utils.multi_gpu_wrapper import MultiGpuWrapper


def copy_of(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def same(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(first, second) for first, second in pairs)


def test_before_is_measured_where_compression_begins(trained_digits, tmp_path):
    plan, helper = make_run("full-prec,chn-pruned-rmt", tmp_path, nb_epochs="0.05,0")
    outcome = stages.run_stages(plan, helper, copy_of(trained_digits))
    first = keras.saving.load_model(plan.stages[0].artefact_path, compile=False)
    assert same(outcome.before, first)
    assert not same(outcome.before, trained_digits)
    assert [type(stage).__name__ for stage in outcome.stages] == [
        "FullPrecLearner",
        "ChannelPrunedRmtLearner",
    ]
    assert outcome.after.model.count_params() < outcome.before.count_params()


def test_before_of_a_run_that_only_trains(trained_digits, tmp_path):
    plan, helper = make_run("full-prec", tmp_path, nb_epochs="0.05")
    outcome = stages.run_stages(plan, helper, copy_of(trained_digits))
    assert same(outcome.before, trained_digits)
    assert not same(outcome.after.model, trained_digits)


def test_every_stage_may_refuse_before_anything_is_trained(trained_digits, tmp_path, monkeypatch):
    plan, helper = make_run("full-prec,chn-pruned-rmt", tmp_path, nb_epochs="0.05,0")
    asked = []

    def check(cls, model, config, helper, *, allow_unsafe):
        asked.append((model, config, helper, allow_unsafe))
        raise InputError("not for this network.")

    learner_class = stages.learners.learner_class("chn-pruned-rmt")
    monkeypatch.setattr(learner_class, "check", classmethod(check))
    with pytest.raises(InputError, match="not for this network"):
        stages.compress(plan, helper, trained_digits)
    assert asked == [(trained_digits, plan.stages[1].config, helper, False)]
    assert not (tmp_path / "state").exists()


def test_fresh_weights_follow_the_seed(tmp_path):
    networks = [
        stages.initial_network(*make_run("full-prec", tmp_path, seed=seed)) for seed in (1, 1, 2)
    ]
    assert same(networks[0], networks[1])
    assert not same(networks[0], networks[2])


def test_weights_from_a_file(trained_digits, tmp_path):
    path = tmp_path / "start.weights.h5"
    trained_digits.save_weights(path)
    plan, helper = make_run("chn-pruned-rmt", tmp_path, pretrained_path=str(path))
    assert same(stages.initial_network(plan, helper), trained_digits)


@pytest.mark.parametrize("given", [True, False])
def test_teacher(given, trained_digits, tmp_path, monkeypatch):
    path = tmp_path / "teacher.keras"
    trained_digits.save(path)
    values = {"enbl_dst": True, **({"save_path_dst": str(path)} if given else {})}
    plan, helper = make_run("chn-pruned-rmt", tmp_path, nb_epochs="0", **values)
    seen = []
    learner_class = stages.learners.learner_class("chn-pruned-rmt")

    def train(self):
        seen.append(self.context.teacher)
        return Trained(self.model)

    monkeypatch.setattr(learner_class, "train", train)
    model = stages.initial_network(plan, helper)
    teachers = load_teachers(plan, model)
    outcome = stages.run_stages(plan, helper, model, teachers=teachers)
    assert same(seen[0], trained_digits if given else outcome.before)


def test_a_teacher_of_other_sizes_is_refused_before_anything_is_trained(trained_digits, tmp_path):
    inputs = keras.Input((8, 8, 1))
    teacher = keras.Model(inputs, layers.Dense(7)(layers.Flatten()(inputs)))
    teacher.save(tmp_path / "teacher.keras")
    values = {"enbl_dst": True, "save_path_dst": str(tmp_path / "teacher.keras")}
    plan, helper = make_run("chn-pruned-rmt", tmp_path / "out", **values)
    with pytest.raises(InputError, match=r"has output shapes \[\(7,\)\], the network \[\(10,\)\]"):
        stages.compress(plan, helper, trained_digits)
    assert not (tmp_path / "out").exists()


class AskedError(Exception):
    """Data were asked for."""


@pytest.mark.parametrize("door", ["command", "python"])
def test_workers_are_known_before_data_are_asked_for(door, tmp_path, monkeypatch):
    """Their number decides which images a helper gives."""
    plan, helper = make_run("full-prec", tmp_path)
    seen = []

    def build():
        seen.append(helper.worker)
        raise AskedError

    workers = MultiGpuWrapper(rank=1, size=3)
    monkeypatch.setattr(stages.MultiGpuWrapper, "init", lambda enbl_multi_gpu: workers)
    monkeypatch.setattr(stages, "joined", lambda *_: contextlib.nullcontext(plan))
    monkeypatch.setattr(helper, "build_dataset_train", build)
    with pytest.raises((InputError, AskedError)):
        if door == "command":
            stages.execute(plan, helper, command=())
        else:
            stages.compress(plan, helper, helper.build_model())
    assert seen == [(1, 3)]


def test_each_stage_is_given_what_concerns_it(trained_digits, tmp_path, monkeypatch):
    """Of budget, setting and teacher; a stage behind the compression has its teacher too."""
    values = {"budget": "flops:0.5,params:0.6", "enbl_dst": True, "nb_epochs": "0"}
    plan, helper = make_run("full-prec,chn-pruned-rmt,full-prec", tmp_path, **values)
    stage = dataclasses.replace(
        plan.stages[1], entry=dataclasses.replace(plan.stages[1].entry, budgets=("params",))
    )
    plan = dataclasses.replace(plan, stages=(plan.stages[0], stage, plan.stages[2]))
    given = []

    def train(self):
        given.append((self.context.budget, self.context.teacher))
        return Trained(self.model)

    for name in ("full-prec", "chn-pruned-rmt"):
        monkeypatch.setattr(stages.learners.learner_class(name), "train", train)
    outcome = stages.run_stages(plan, helper, copy_of(trained_digits))
    budgets, teachers = zip(*given, strict=True)
    assert [None if budget is None else budget.text for budget in budgets] == [
        None,
        "params:0.6",
        None,
    ]
    assert teachers == (None, outcome.before, outcome.before)


def test_strict_lists_what_cannot_be_compressed(tmp_path):
    plan, helper = make_run("full-prec", tmp_path, strict=True)
    inputs = keras.Input((8, 8, 1))
    x = keras.ops.cumsum(layers.Conv2D(4, 3, name="conv")(inputs), axis=3)
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    message = r"^--strict: 1 layers cannot be compressed: cumsum.* Leave --strict out"
    with pytest.raises(InputError, match=message):
        stages.compress(plan, helper, model)
    stages._refuse_opaque(stages.initial_network(plan, helper), allow_unsafe=False)


def test_a_stage_keeps_the_zeros_it_was_given(trained_digits, tmp_path):
    sparse, generator = copy_of(trained_digits), np.random.default_rng(0)
    kernels = [weight for weight in sparse.trainable_weights if weight.name == "kernel"]
    for kernel in kernels:
        kernel.assign(kernel * (generator.random(kernel.shape) > 0.4))
    zeros = [np.asarray(kernel) == 0 for kernel in kernels]
    report = compress(
        "full-prec", tmp_path, sparse, nb_epochs="0.1", tflite="float32,int8", tflite_max_gap=1.0,
        tflite_min_agreement=0.0,
    )  # fmt: skip
    trained = keras.saving.load_model(report.after.path)  # plain Keras
    for zero, weight in zip(
        zeros, (w for w in trained.trainable_weights if w.name == "kernel"), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(weight) == 0, zero)
    for kind in ("float32", "int8"):
        interpreter = Interpreter(str(tmp_path / f"model_{kind}.tflite"))
        interpreter.allocate_tensors()
        constants = {}
        for tensor in interpreter.get_tensor_details():
            with contextlib.suppress(ValueError):  # an activation has no value yet
                constants[tensor["index"]] = interpreter.get_tensor(tensor["index"])
        for zero in zeros:
            same = [c for c in constants.values() if c.size == zero.size and c.ndim > 1]
            assert any((c == 0).sum() >= zero.sum() for c in same), kind


def test_scoring_weights_files(trained_digits, tmp_path, capsys):
    trained_digits.save_weights(tmp_path / "start.weights.h5")
    trained_digits.save(tmp_path / "start.keras")
    for name in ("start.weights.h5", "start.keras"):
        values = {"exec_mode": "eval", "pretrained_path": str(tmp_path / name)}
        plan, helper = make_run("full-prec", tmp_path, **values)
        assert stages.execute(plan, helper, command=()) is None
    lines = [line for line in capsys.readouterr().out.splitlines() if "accuracy" in line]
    assert len({line.split()[1] for line in lines}) == 1
    assert len(lines) == 2


def test_scoring_a_network_for_other_images(tmp_path):
    inputs = keras.Input((9, 9, 1))
    keras.Model(inputs, layers.Dense(10)(layers.Flatten()(inputs))).save(tmp_path / "other.keras")
    plan, helper = make_run(
        "full-prec", tmp_path, exec_mode="eval", pretrained_path=str(tmp_path / "other.keras")
    )
    with pytest.raises(InputError, match=r"^Scoring .*other.keras failed: "):
        stages.execute(plan, helper, command=())


def test_a_teacher_of_probabilities_teaches_logits(trained_digits, tmp_path):
    """The digits' helper has logits; a teacher that ends in softmax is given their ending."""
    _, helper = make_run("full-prec", tmp_path)
    network = helper.build_model()
    probabilities = keras.ops.softmax(trained_digits.output)
    teacher = keras.Model(trained_digits.input, probabilities)
    images = next(iter(helper.build_dataset_eval()))[0]
    given = stages._same_ending(teacher, network, helper)(images).numpy()
    wanted = trained_digits(images).numpy()
    seen = wanted - wanted.max(axis=-1, keepdims=True) > -10  # below that they end at 1e-7
    shift = wanted.max(axis=-1, keepdims=True) - given.max(axis=-1, keepdims=True)
    np.testing.assert_allclose((given + shift)[seen], wanted[seen], atol=1e-2)
    assert stages._same_ending(trained_digits, network, helper) is trained_digits


def test_outputs_that_are_no_logits_are_refused_before_training(tmp_path):
    inputs = keras.Input((8, 8, 1))
    score = layers.Dense(1, name="score")(layers.Flatten()(inputs))
    model = keras.Model(inputs, score)
    plan, helper = make_run("chn-pruned-rmt", tmp_path, nb_epochs="0", enbl_dst=True)
    with pytest.raises(
        InputError, match=r"Distillation: the output of layer 'score' is one number"
    ):
        stages._find_logits(plan, helper, model)
    values = {"enbl_dst": True, "loss_w_dst": 0.0, "loss_w_hint": 1.0}
    only_hints, _ = make_run("chn-pruned-rmt", tmp_path, nb_epochs="0", **values)
    stages._find_logits(only_hints, helper, model)
    (tmp_path / "t.keras").write_bytes(b"")
    student, _ = make_run(
        "distillation", tmp_path, teacher_path=f"{tmp_path}/t.keras", loss_w_dst=0.0
    )
    with pytest.raises(InputError, match="is one number"):  # its weight is another flag's
        stages._find_logits(student, helper, model)
