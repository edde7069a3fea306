import keras
import pytest
from keras import layers

from utils import own_objects
from utils.errors import InputError


class Plain(layers.Layer):
    def call(self, x):
        return x


@keras.saving.register_keras_serializable("own_objects_test")
class Registered(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = Plain()


class Initial(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.zeros(shape, dtype)


def curve(x):
    return x


def function_named(name):
    """Make another function of a name."""

    def function(x):
        return x

    function.__name__ = name
    return function


def other(name):
    """Make another class of a name."""
    return type(name, (layers.Layer,), {})


def test_unregistered_parts_are_found():
    assert own_objects.objects_of(layers.Dense(2)) == {}
    assert own_objects.objects_of(Registered()) == {"Plain": Plain}
    dense = layers.Dense(2, activation=curve, kernel_initializer=Initial())
    assert own_objects.objects_of(dense) == {"curve": curve, "Initial": Initial}
    assert own_objects.objects_of(layers.TimeDistributed(Plain())) == {"Plain": Plain}
    assert own_objects.objects_of(layers.Dense(2, activation=lambda x: x)) == {}


def test_two_of_one_name():
    found = {"Plain": other("Plain")}
    with pytest.raises(
        InputError, match=r"two classes of layers are called 'Plain', in 'tests.uti"
    ):
        own_objects.add_object(found, Plain)
    own_objects.add_object(found, found["Plain"])
    own_objects.add_object(found, curve)
    own_objects.add_object(found, function_named("curve"))
    assert found["curve"] is None  # Keras would be told the wrong one
    own_objects.remember(found)
    with own_objects.scope():
        assert keras.saving.get_registered_object("curve") is None


def test_methods_are_no_functions_of_the_users():
    """Keras wraps `build` and keeps the wrapper on the layer."""

    class Built(layers.Layer):
        def build(self, shape):
            super().build(shape)

        def call(self, x):
            return x

    layer = Built()
    layer(keras.Input((2,)))
    assert own_objects.objects_of(layer) == {"Built": Built}


def test_scope_offers_what_was_remembered():
    config = keras.saving.serialize_keras_object(layers.Dense(2, activation=curve))
    with pytest.raises(TypeError, match="Could not locate function"):
        keras.saving.deserialize_keras_object(config)
    own_objects.remember({"curve": curve})
    with own_objects.scope():
        assert keras.saving.deserialize_keras_object(config).activation is curve


def test_a_model_is_remembered_whole():
    cls = other("OfTheModel")
    own_objects.remember_model(keras.Sequential([keras.Input((2,)), cls(), layers.Dense(1)]))
    with own_objects.scope():
        assert keras.saving.get_registered_object("OfTheModel") is cls


def test_ops_are_unique():
    first, second = other("Same"), other("Same")
    ops = [own_objects.own_op(cls) for cls in (first, second, first)]
    assert ops[0] == ops[2] != ops[1] and ops[0].startswith("tests.utils.own_objects_test>Same")
    assert own_objects.own_class(ops[0]) is first and own_objects.own_class(ops[1]) is second
    assert own_objects.own_class("nobody>Knows") is None


def test_lambdas_of_this_process():
    layer = layers.Lambda(lambda x: x * FACTOR, output_shape=lambda shape: shape)
    config = layer.get_config()
    own_objects.remember_lambdas(layer, config)
    again = layers.Lambda.from_config(dict(config), safe_mode=False)
    assert again.function is not layer.function
    own_objects.restore_lambdas(again, config)
    assert again.function is layer.function and again._output_shape is layer._output_shape


def test_lambdas_in_a_written_model():
    layer = layers.Lambda(lambda x: x + FACTOR)
    own_objects.remember_lambdas(layer, layer.get_config())
    unknown = layers.Lambda(lambda x: x - 1).get_config()
    named, found = own_objects.known_lambdas([{"a": layer.get_config()}, unknown])
    (name,) = found
    assert found[name] is layer.function
    assert named[0]["a"]["function"] == {
        "module": "builtins", "class_name": "function", "config": name,
    }  # fmt: skip
    assert named[1] == unknown


FACTOR = 3.0
