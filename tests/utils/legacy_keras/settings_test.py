import keras
import pytest
from keras import layers

from utils.errors import InputError
from utils.legacy_keras.settings import layer_class, plain, policy, written_anew


def settings(class_name, **config):
    written = {"class_name": class_name, "config": {"name": "x", **config}}
    return written_anew(written, allow_unsafe=False)


def made(class_name, **config):
    return keras.saving.deserialize_keras_object(settings(class_name, **config))


def test_plain_values():
    written = {
        "axis": {"class_name": "TensorShape", "items": [None, 3]},
        "pad": [{"class_name": "__tuple__", "items": [{"class_name": "__tuple__", "items": [1]}]}],
        "slope": {"type": "ndarray", "value": [0.5]},
    }
    assert plain(written) == {"axis": (None, 3), "pad": [((1,),)], "slope": [0.5]}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("float32", "float32"),
        (None, None),
        ({"class_name": "Policy", "config": {"name": "infer"}}, None),
        ({"class_name": "PolicyV1", "config": {"name": "mixed_float16", "loss_scale": 1}},
         "mixed_float16"),
        ({"module": "keras", "class_name": "DTypePolicy", "config": {"name": "bfloat16"}},
         "bfloat16"),
    ],
)  # fmt: skip
def test_number_formats(written, name):
    assert policy(written, "x") == name


@pytest.mark.parametrize(
    ("old", "config", "new", "expected"),
    [
        ("BatchNormalizationV1", {"axis": [3], "fused": True, "renorm": False}, "axis", 3),
        ("SyncBatchNormalization", {"axis": [-1]}, "axis", -1),
        ("LayerNormalization", {"axis": [1, 2]}, "axis", [1, 2]),
        ("Convolution2D", {"filters": 2, "kernel_size": [3, 3]}, "filters", 2),
        ("ThresholdedReLU", {"theta": 0.3}, "threshold", 0.3),
        ("LeakyReLU", {"alpha": 0.1}, "negative_slope", 0.1),
        ("GRU", {"units": 2}, "reset_after", False),
        ("GRU", {"units": 2, "reset_after": True, "implementation": 2}, "reset_after", True),
        ("SeparableConv2D", {"filters": 3, "kernel_size": [1, 1], "groups": 1,
                             "kernel_initializer": {"class_name": "Zeros", "config": {}}},
         "filters", 3),
        ("SpatialDropout2D", {"rate": 0.5, "noise_shape": None, "trainable": True}, "rate", 0.5),
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "query_shape": [None, 4, 8]},
         "num_heads", 2),
        ("Dense", {"units": 2, "activation": {"class_name": "function", "config": "relu",
                                              "module": "builtins"}}, "activation", "relu"),
    ],
)  # fmt: skip
def test_todays_settings(old, config, new, expected):
    anew = settings(old, **config)
    assert anew["config"][new] == expected and anew["module"] == "keras.layers"
    assert isinstance(keras.saving.deserialize_keras_object(anew), layers.Layer)


def test_objects_inside():
    layer = made(
        "Bidirectional",
        layer={
            "class_name": "LSTM",
            "config": {
                "name": "inner",
                "units": 3,
                "time_major": False,
                "kernel_initializer": {
                    "class_name": "GlorotUniform",
                    "config": {"seed": 1, "dtype": "float32"},
                },
                "recurrent_regularizer": {
                    "class_name": "L1L2",
                    "config": {"l1": 0.0, "l2": 0.5},
                },
                "bias_constraint": {
                    "class_name": "MaxNorm",
                    "config": {"max_value": 2, "axis": 0},
                },
            },
        },
        merge_mode="sum",
    )
    cell = layer.forward_layer.cell
    assert layer.merge_mode == "sum" and cell.units == 3 and cell.kernel_initializer.seed == 1
    assert cell.recurrent_regularizer.l2 == 0.5 and cell.bias_constraint.max_value == 2
    dense = made("Dense", units=2, activation={"class_name": "LeakyReLU", "config": {"alpha": 0.5}})
    assert dense.activation.negative_slope == 0.5


def test_an_initializer_that_is_gone_does_not_matter():
    config = settings("Dense", units=2, kernel_initializer={"class_name": "Odd", "config": {}})
    assert config["config"]["kernel_initializer"] is None


def test_own_classes_keep_their_settings():
    @keras.saving.register_keras_serializable("mine")
    class Doubled(layers.Layer):
        def __init__(self, spin, **kwargs):
            super().__init__(**kwargs)
            self.spin = spin

    anew = settings("mine>Doubled", spin=3, batch_input_shape=[None, 2])
    assert anew["config"] == {"name": "x", "spin": 3}
    assert isinstance(keras.saving.deserialize_keras_object(anew), Doubled)


def test_classes():
    assert layer_class("Conv2D", "x") is layers.Conv2D
    for name in ("deserialize", "Input", "Layer_", None, 3):
        with pytest.raises(InputError, match=r"layer 'x': the class .* is unknown to the inst"):
            layer_class(name, "x")


@pytest.mark.parametrize(
    ("class_name", "config", "message"),
    [
        ("DepthwiseConv2D", {"kernel_size": 3, "groups": 2}, r"setting 'groups' = 2 is unknown"),
        ("BatchNormalizationV1", {"virtual_batch_size": 4}, r"'virtual_batch_size' = 4 is unknown"),
        ("Dense", {"units": 2, "dtype": {"config": {"name": "int3"}}}, r"the dtype .* is unknown"),
        ("Dense", {"units": 2, "bias_constraint": {"class_name": "X"}},
         r"layer 'x': its bias_constraint 'X' cannot be made"),
        ("Dense", {"units": 2, "activation": {"class_name": "__lambda__", "config": {}}},
         r"layer 'x' is a Lambda"),
        ("TFSMLayer", {"filepath": "/etc"}, r"layer 'x' is a TFSMLayer: it runs Python code"),
    ],
)  # fmt: skip
def test_refusals(class_name, config, message):
    with pytest.raises(InputError, match=message):
        settings(class_name, **config)


def test_a_layer_without_a_description():
    with pytest.raises(InputError, match=r"is not described by class_name and config: 'Dense'"):
        written_anew("Dense", allow_unsafe=False)
