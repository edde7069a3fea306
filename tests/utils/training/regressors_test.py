"""Pairs of layers and the regressors between them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.utils.training.conftest import calc_loss, network, optimizer
from utils.errors import InputError
from utils.training import LossComposer, fit, hint, read_state
from utils.training.regressors import FeaturePair, feature_pairs, layer_names, with_regressors


def wide(width=7):
    """As the shared small network, its convolution has another width."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(width, 3, name="big_conv")(inputs)
    x = layers.Dense(9, name="big_dense")(layers.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(inputs, x, name="wide")


def chain(*named):
    inputs = keras.Input((6, 6, 2))
    x = inputs
    for layer in named:
        x = layer(x)
    return keras.Model(inputs, x, name="chain")


def test_pairs_know_the_teachers_width():
    student = chain(layers.Conv2D(7, 3, name="same"), layers.Conv2D(3, 1, name="narrow"))
    pairs = feature_pairs(student, wide(), [("same", "big_conv"), ("narrow", "big_conv")])
    assert pairs == (
        FeaturePair("same", "big_conv", None, 0),
        FeaturePair("narrow", "big_conv", 7, 1),
    )
    assert [pair.compared for pair in pairs] == ["same", "dst_regressor_1_narrow"]


def test_an_open_size_fits_any():
    inputs = keras.Input((None, None, 2))
    student = keras.Model(inputs, layers.Conv2D(7, 3, name="conv")(inputs))
    assert feature_pairs(student, wide(), [("conv", "big_conv")])[0].width is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cnv", "big_conv"), r"network 'small' has no layer 'cnv' that gives one output. Did you"),
        (("conv", "bigconv"), r"teacher 'wide' has no layer 'bigconv' .* Did you mean 'big_conv'"),
        (("conv", "big_dense"), r"'conv' gives features of shape \(.*\), 'big_dense' of the tea"),
    ],
)
def test_layers_that_cannot_be_compared(names, message):
    with pytest.raises(InputError, match=message):
        feature_pairs(network(), wide(), [names])


def test_layers_that_are_called_twice_or_nested_have_no_name():
    inputs, twice = keras.Input((4,)), layers.Dense(4, name="twice")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="inner")], name="nested")
    model = keras.Model(inputs, inner(twice(twice(inputs))))
    assert layer_names(model) == {"nested"}


def test_a_regressor_is_a_linear_map_at_every_position():
    student, teacher = network(), wide()
    pairs = feature_pairs(student, teacher, [("conv", "big_conv")])
    trained = with_regressors(student, pairs, ["dst_regressor_0_conv"], seed=3)
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype("float32")
    outputs, mapped = trained(images)
    np.testing.assert_array_equal(outputs, student(images))
    conv = keras.Model(student.input, student.get_layer("conv").output)(images)
    layer = trained.get_layer("dst_regressor_0_conv")
    np.testing.assert_allclose(mapped, conv @ layer.kernel + layer.bias, rtol=1e-4, atol=1e-5)
    assert mapped.shape[-1] == 7
    own = {variable.path for variable in student.variables}
    assert {v.path for v in trained.variables} - own == {layer.kernel.path, layer.bias.path}


def test_its_weights_follow_the_seed_alone():
    pairs = feature_pairs(network(), wide(), [("conv", "big_conv")])

    def kernel(seed, drawn):
        keras.random.normal((drawn,))  # the global generator moves on
        made = with_regressors(network(), pairs, ["dst_regressor_0_conv"], seed=seed)
        return np.array(made.get_layer("dst_regressor_0_conv").kernel)

    np.testing.assert_array_equal(kernel(1, 1), kernel(1, 5))
    assert not np.array_equal(kernel(1, 1), kernel(2, 1))


def test_without_need_the_model_is_the_model():
    student = network()
    pairs = feature_pairs(student, wide(), [("conv", "big_conv")])
    assert with_regressors(student, pairs, ["conv"], seed=0) is student
    assert with_regressors(student, (), [], seed=0) is student


def test_training_moves_it_and_the_state_keeps_it_out_of_the_network(make_job):
    student, teacher = network(2), wide()
    pairs = feature_pairs(student, teacher, [("conv", "big_conv")])
    names = [pairs[0].compared]
    trained = with_regressors(student, pairs, names, seed=0)
    before = np.array(trained.get_layer(names[0]).kernel)
    loss = LossComposer(calc_loss, [hint(0.3, names, ["big_conv"])], teacher=teacher)
    job = make_job(loss=loss, saved=student, resume=False, num_steps=12, optimizer=optimizer())
    result = fit(trained, job)
    assert result.history[-1]["hint"] < result.history[0]["hint"]
    assert not np.array_equal(trained.get_layer(names[0]).kernel, before)
    state = read_state(job.state_path)
    assert [array.shape for array in state.extra_variables] == [(before.shape), (7,)]
    restored = keras.models.load_model(job.state_path, compile=False)
    assert names[0] not in {layer.name for layer in restored.layers}
    tf.debugging.assert_equal(restored.weights[0].value, student.weights[0].value)
