import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from utils.graph import traceable, traceable_name

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
ODD = ["Schicht ü", "a:b", "_1", "a\\b", "日本", "it's", "a#1"]


def network(name, where):
    """A network with a name in one place."""
    names = {"model": "m", "input": "i", "layer": "l", "inner": "n"} | {where: name}
    inputs = keras.Input((4,), name=names["input"])
    x = layers.Dense(6, name=names["layer"])(inputs)
    x = layers.Reshape((2, 3))(x)
    x = layers.TimeDistributed(layers.Dense(2, name=names["inner"]))(x)
    return keras.Model(inputs, layers.Flatten()(x), name=names["model"])


@pytest.mark.parametrize("where", ["model", "input", "layer", "inner"])
def test_networks_of_any_names_train_and_convert(where, tmp_path, capsys):
    for name in ODD[:2] if where != "layer" else ODD:
        model = network(name, where)
        expected = np.array(model(X))
        renamed = traceable(model)
        np.testing.assert_array_equal(renamed(X), expected)
        tf.function(renamed)(X)
        if name == ODD[0]:
            renamed.export(tmp_path / where, verbose=False)
            tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / where)).convert()
        assert f"{name!r} is called" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("where", ["model", "layer"])
def test_keras_itself_does_not(where):
    model = network(ODD[0], where)
    model.compile("sgd", "mse")
    try:
        with pytest.raises(ValueError, match="is not a valid"):
            model.fit(X, X, verbose=0)
    finally:
        keras.utils.clear_session()  # the refused name stays open in Keras, around all that follows


def test_other_names_stay(capsys):
    model = network("conv-1.a>b", "layer")
    assert traceable(model) is model and model.get_layer("conv-1.a>b")
    assert not capsys.readouterr().err


def test_new_names_are_unique():
    inputs = keras.Input((4,))
    x = layers.Dense(2, name="a_b")(inputs)
    x = layers.Dense(2, name="a b")(x)
    model = traceable(keras.Model(inputs, layers.ReLU(name="a:b")(x)))
    assert [layer.name for layer in model.layers[1:]] == ["a_b", "a_b_1", "a_b_2"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Größe 1", "Große_1".replace("ß", "_")), ("été", "ete"), ("-a", "n-a"), ("", "n")],
)
def test_names(name, expected):
    assert traceable_name(name) == expected
