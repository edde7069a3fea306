"""What a stage learns from its teachers; runs are in the tests of the learners."""

import dataclasses

import keras
import numpy as np
import pytest

from learners.context import StageContext
from learners.learner_config import LearnerConfig
from learners.teaching import Teaching, with_named_layers
from tests.learners.recipes import toy_helper, toy_network
from tests.learners.runs import make_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class FourBits(LearnerConfig):
    """A student of 4 bits."""

    @property
    def student_bits(self) -> int:
        return 4


def teaching(folder, teacher=None, further=(), config=None, **values):
    plan, _ = make_run("full-prec", folder, exec_mode="eval", enbl_dst=True, **values)
    stage = plan.stages[0]
    if config is not None:
        stage = dataclasses.replace(stage, config=config)
    return Teaching(
        StageContext(
            run=plan.run,
            stage=stage,
            helper=toy_helper(),
            log_dir=plan.log_dir,
            teacher=teacher,
            further_teachers=tuple(further),
        )
    )


def bigger():
    inputs = keras.Input((6,))
    x = keras.layers.Dense(20, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="out")(x), name="bigger")


def loss_of(found, model):
    return found.loss(toy_helper().calc_loss, model, None, 1.0)


def test_without_a_teacher_there_are_no_terms(tmp_path):
    found = teaching(tmp_path)
    assert loss_of(found, toy_network()).terms == ()
    assert found.notes() == []


def test_named_layers_and_their_regressors(tmp_path):
    found = teaching(tmp_path, bigger(), loss_w_hint=2.0, dst_layers="relu:hidden,fc2:out")
    model = toy_network()
    loss = loss_of(found, model)
    assert [term.name for term in loss.terms] == ["distillation", "hint"]
    assert loss.needs == ("dst_regressor_0_relu", "fc2")
    trained = found.with_regressors(model, loss)
    assert [tuple(tensor.shape) for tensor in trained.outputs] == [(None, 3), (None, 20)]


def test_a_layer_whose_place_a_wrapper_took_is_not_compared(tmp_path):
    found = teaching(tmp_path, bigger(), loss_w_hint=2.0, dst_layers="relu:hidden,fc1:hidden")
    plain = toy_network()
    x = keras.layers.Dense(8, name="other")(plain.input)
    for name in ("relu", "dropout", "fc2"):
        x = plain.get_layer(name)(x)
    loss = found.loss(toy_helper().calc_loss, keras.Model(plain.input, x), plain, 1.0)
    assert loss.needs == ("dst_regressor_0_relu",)


def test_a_nested_teacher_has_its_inner_layers_too():
    inputs = keras.Input((6,))
    nested = keras.Model(inputs, bigger()(inputs), name="nested")
    flat = with_named_layers(nested, ["hidden"])
    assert {"hidden", "out"} <= {layer.name for layer in flat.layers}
    x = np.ones((2, 6), "float32")
    np.testing.assert_allclose(flat(x), nested(x), rtol=1e-6)
    assert with_named_layers(nested, ["bigger"]) is nested
    assert with_named_layers(nested, ["gone"]) is nested


@pytest.mark.parametrize(
    ("values", "config", "words"),
    [
        ({}, None, "temperature 4, the usual one for weights of 32 bits"),
        ({}, FourBits(), "temperature 2, the usual one for weights of 4 bits"),
        ({"tempr_dst": 4.0}, FourBits(), "temperature 4, as given by --tempr_dst"),
    ],
)
def test_notes_say_temperature_and_cost(values, config, words, tmp_path):
    found = teaching(tmp_path, bigger(), [bigger()], config, **values)
    model, batch = toy_network(), np.ones((4, 6), "float32")
    found.spent(model, batch, num_steps=1, seconds=1e9)
    assert words in found.notes()[0]
    # 2 (6 20 + 20 3) of the teachers, 6 8 + 8 3 of the network
    costs = "The 2 teachers take 360 multiply-adds a sample, 5.0 times the network's, and took "
    assert found.notes()[1].startswith(costs + "about 0 % of the time of training")


def test_time_adds_up_over_fits(tmp_path):
    found = teaching(tmp_path, bigger())
    for _ in range(2):
        found.spent(toy_network(), np.ones((4, 6), "float32"), num_steps=0, seconds=20.0)
    assert "(0.0 of 40.0 s)" in found.notes()[1]
