"""Files of the old layouts, each against a network of today's Keras with the same weights."""

import pathlib
import struct

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from tests.utils.legacy_keras.old_files import (
    functional,
    image_input,
    initializer_of_1_13,
    layer,
    sequential_of_2_1,
    write,
)
from utils.errors import InputError
from utils.legacy_keras import holds_network, is_legacy_weights, load_network, load_weights

IMAGES = np.random.default_rng(5).normal(size=(4, 8, 8, 3)).astype(np.float32)
CONV = {"strides": [1, 1], "padding": "same", "activation": "linear", "use_bias": True}


def kernel(random, *shape):
    return random.normal(size=shape).astype(np.float32)


@pytest.fixture
def mobile(tmp_path, random):
    """A depthwise block as tf.keras 2.4 wrote it, and the same network of today's Keras."""
    depthwise, point = kernel(random, 3, 3, 3, 2), kernel(random, 1, 1, 6, 4)
    bias, spread = kernel(random, 4), kernel(random, 3, 3, 5, 4)
    norm = [kernel(random, 4), kernel(random, 4), kernel(random, 4), kernel(random, 4) ** 2]
    config = functional(
        image_input(8, 8, 3),
        layer(
            "DepthwiseConv2D",
            "dw",
            "input_1",
            kernel_size=[3, 3],
            depth_multiplier=2,
            groups=1,
            depthwise_initializer=initializer_of_1_13(),
            **{**CONV, "use_bias": False},
        ),
        layer("Conv2D", "block/conv", "dw", filters=4, kernel_size=[1, 1], groups=1, **CONV),
        layer("BatchNormalization", "bn", "block/conv", axis=[3], epsilon=0.01, momentum=0.9),
        layer("LeakyReLU", "act", "bn", alpha={"type": "ndarray", "value": 0.25}),
        layer("Conv2DTranspose", "up", "act", filters=5, kernel_size=[3, 3], groups=1,
              output_padding=None, **{**CONV, "strides": [2, 2], "use_bias": False}),
        layer("GlobalAveragePooling2D", "pool", "up", data_format="channels_last"),
        outputs=["pool"],
    )  # fmt: skip
    weights = {
        "input_1": [],
        "dw": [("dw/depthwise_kernel:0", depthwise)],
        "block/conv": [("block/conv/kernel:0", point), ("block/conv/bias:0", bias)],
        "bn": [
            (f"bn/{name}:0", array)
            for name, array in zip(
                ("gamma", "beta", "moving_mean", "moving_variance"), norm, strict=True
            )
        ],
        "act": [],
        "up": [("up/kernel:0", spread)],
        "pool": [],
    }
    inputs = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False)(inputs)
    x = layers.Conv2D(4, 1, padding="same")(x)
    x = layers.LeakyReLU(0.25)(layers.BatchNormalization(epsilon=0.01)(x))
    x = layers.Conv2DTranspose(5, 3, strides=2, padding="same", use_bias=False)(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    model.set_weights([depthwise, point, bias, *norm, spread])
    path = write(tmp_path / "mobile.h5", config, weights, version="2.4.0", optimizer=True)
    return path, model


def test_keys_that_today_refuses(mobile):
    path, model = mobile
    with pytest.raises(TypeError, match="groups"):  # why this reader is there
        keras.saving.load_model(path, compile=False)
    loaded = load_network(path)
    np.testing.assert_allclose(loaded(IMAGES), model(IMAGES), rtol=1e-6, atol=1e-6)
    assert loaded.name == "old_net"
    assert [la.name for la in loaded.layers][:3] == ["input_1", "dw", "block_conv"]
    assert not loaded.compiled


def test_what_a_file_holds(mobile, tmp_path, random):
    path, model = mobile
    assert holds_network(path) and is_legacy_weights(path)
    weights = {"a": [("a/kernel:0", kernel(random, 2, 2))]}
    alone = write(tmp_path / "alone.h5", None, weights)
    assert not holds_network(alone) and is_legacy_weights(alone)
    model.save_weights(tmp_path / "today.weights.h5")
    assert not is_legacy_weights(tmp_path / "today.weights.h5")
    assert not is_legacy_weights(pathlib.Path(__file__))


def test_list_form_of_keras_2_1(tmp_path, random):
    first, last = kernel(random, 3, 3, 3, 4), kernel(random, 4, 2)
    config = sequential_of_2_1(
        ("Conv2D", {"name": "c", "filters": 4, "kernel_size": [3, 3], **CONV, "use_bias": False}),
        ("ThresholdedReLU", {"name": "t", "theta": 0.3}),
        ("GlobalAveragePooling2D", {"name": "p"}),
        ("Dense", {"name": "d", "units": 2, "activation": "softmax", "use_bias": False,
                   "kernel_initializer": {"class_name": "VarianceScaling", "config": {
                       "scale": 1.0, "mode": "fan_avg", "distribution": "normal", "seed": None}}}),
        shape=(8, 8, 3),
    )  # fmt: skip
    weights = {"c": [("c/kernel:0", first)], "d": [("d/kernel:0", last)]}
    loaded = load_network(write(tmp_path / "a.h5", config, weights, version="2.1.6"))
    assert isinstance(loaded, keras.Sequential) and loaded.input_shape == (None, 8, 8, 3)
    x = keras.ops.conv(IMAGES, first, padding="same")
    pooled = np.where(np.asarray(x) > 0.3, x, 0.0).mean(axis=(1, 2))
    expected = keras.ops.softmax(pooled @ last)
    np.testing.assert_allclose(loaded(IMAGES), expected, rtol=1e-5)


def lstm(x, kernel, recurrent, bias):
    """An LSTM with Keras 2's hard sigmoid, step by step."""

    def gate(value):
        return np.clip(0.2 * value + 0.5, 0.0, 1.0)

    hidden = state = np.zeros((len(x), recurrent.shape[0]))
    for step in range(x.shape[1]):
        made = x[:, step] @ kernel + hidden @ recurrent + bias
        i, f, c, o = np.split(made, 4, axis=-1)
        state = gate(f) * state + gate(i) * np.tanh(c)
        hidden = gate(o) * np.tanh(state)
    return hidden


def test_gates_of_keras_2_2_are_computed_as_then(tmp_path, random):
    arrays = [kernel(random, 3, 20), kernel(random, 5, 20), kernel(random, 20)]
    config = sequential_of_2_1(
        ("LSTM", {"name": "lstm", "units": 5, "activation": "tanh", "use_bias": True,
                  "recurrent_activation": "hard_sigmoid", "return_sequences": False,
                  "implementation": 1, "time_major": False, "unit_forget_bias": True}),
        shape=(6, 3),
    )  # fmt: skip
    names = ("lstm/kernel:0", "lstm/recurrent_kernel:0", "lstm/bias:0")
    path = write(tmp_path / "a.h5", config, {"lstm": list(zip(names, arrays, strict=True))})
    x = random.normal(size=(4, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(load_network(path)(x), lstm(x, *arrays), rtol=1e-5, atol=1e-6)


def test_shared_model_inside(tmp_path, random):
    """A Sequential called twice: its first call here is number 1 in the file."""
    dense = kernel(random, 3, 3)
    inner = {
        "class_name": "Sequential",
        "name": "inner",
        "config": [
            {"class_name": "Dense", "config": {"name": "d", "units": 3, "use_bias": False,
                                               "batch_input_shape": [None, 3]}}
        ],
        "inbound_nodes": [[["input_1", 0, 0, {}]], [["inner", 1, 0, {}]]],
    }  # fmt: skip
    total = layer("Add", "total", "inner", "inner")
    total["inbound_nodes"] = [[["inner", 1, 0, {}], ["inner", 2, 0, {}]]]
    config = functional(image_input(3), inner, total, outputs=["total"], class_name="Model")
    path = write(tmp_path / "a.h5", config, {"inner": [("d/kernel:0", dense)]})
    x = random.normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(load_network(path)(x), x @ dense + x @ dense @ dense, rtol=1e-5)


def test_frozen_layers_inside_come_behind_the_others(tmp_path, random):
    """Of a model inside, the file has first what is trained, then what is not."""
    frozen, trained = kernel(random, 3, 3), kernel(random, 3, 3)
    inner = {
        "class_name": "Model",
        "name": "inner",
        "config": functional(
            image_input(3, name="in"),
            layer("Dense", "a", "in", units=3, use_bias=False, trainable=False),
            layer("Dense", "b", "a", units=3, use_bias=False, trainable=True),
            outputs=["b"],
            inputs=["in"],
        )["config"]
        | {"name": "inner"},
        "inbound_nodes": [[["input_1", 0, 0, {}]]],
    }
    config = functional(image_input(3), inner, outputs=["inner"])
    config["config"]["output_layers"] = [["inner", 1, 0]]
    weights = {"inner": [("b/kernel:0", trained), ("a/kernel:0", frozen)]}
    x = random.normal(size=(4, 3)).astype(np.float32)
    loaded = load_network(write(tmp_path / "a.h5", config, weights))
    np.testing.assert_allclose(loaded(x), x @ frozen @ trained, rtol=1e-5)


def test_adapted_normalization(tmp_path):
    config = sequential_of_2_1(("Normalization", {"name": "n", "axis": [-1]}), shape=(2,))
    state = [np.array([1.0, 2.0], "f"), np.array([4.0, 9.0], "f"), np.array(7, np.int64)]
    names = ("n/mean:0", "n/variance:0", "n/count:0")
    path = write(tmp_path / "a.h5", config, {"n": list(zip(names, state, strict=True))})
    assert np.array_equal(load_network(path)(np.array([[5.0, 5.0]])), [[2.0, 1.0]])


def test_files_of_todays_keras(tmp_path, random):
    """Its own `.h5`: no slash, no `:0`, calls written in another way."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="hard_sigmoid")(inputs)
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(4, 1)])
    x = layers.Add()([inner(x), inner(layers.ReLU()(x))])
    model = keras.Model(inputs, layers.GlobalAveragePooling2D(dtype="mixed_float16")(x))
    model.save(tmp_path / "today.h5")
    np.testing.assert_array_equal(load_network(tmp_path / "today.h5")(IMAGES), model(IMAGES))


def test_a_real_file(cifar10_folder, real_file):
    """ResNet-8 of MLPerf Tiny, saved by tf.keras 2.4; its authors measured 87.19 %."""
    path = real_file("keras/pretrainedResnet.h5")
    model = load_network(path)
    assert model.count_params() == 78_666
    raw = np.fromfile(cifar10_folder / "test_batch.bin", np.uint8).reshape(-1, 3073)[::5]
    images = raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32)
    outputs = model.predict(images, verbose=0, batch_size=500)
    assert np.mean(outputs.argmax(axis=-1) == raw[:, 0]) == pytest.approx(0.8719, abs=0.01)
    own = keras.saving.load_model(path, compile=False)  # this one today's Keras reads too
    np.testing.assert_array_equal(own(images[:16]), model(images[:16]))


# --- weights into a network -----------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
def test_weights_go_into_a_network(tmp_path, random, named):
    first, second = kernel(random, 3, 4), kernel(random, 4, 4)
    weights = {
        "dense_7": [("dense_7/kernel:0", first)],
        "relu": [],
        "dense_8": [("dense_8/kernel:0", second)],
    }
    path = write(tmp_path / "a.h5", None, weights)
    names = ("dense_7", "dense_8") if named else (None, None)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, use_bias=False, name=names[0]),
            layers.ReLU(),
            layers.Dense(4, use_bias=False, name=names[1]),
        ]
    )
    load_weights(model, path)
    x = random.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(model(x), np.maximum(x @ first, 0) @ second, rtol=1e-5, atol=1e-5)


def test_weights_that_do_not_fit_change_nothing(tmp_path, random):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dense(2)])
    before = [np.array(weight) for weight in model.weights]
    good = [("kernel:0", kernel(random, 3, 4)), ("bias:0", kernel(random, 4))]
    wrong = {
        r"the network has kernel\[4, 2\], bias\[2\]; the file has kernel\[4, 3\], bias\[3\]": [
            ("kernel:0", kernel(random, 4, 3)),
            ("bias:0", kernel(random, 3)),
        ],
        r"the file has bias\[4, 2\], kernel\[2\]": [
            ("bias:0", kernel(random, 4, 2)),
            ("kernel:0", kernel(random, 2)),
        ],
    }
    for message, arrays in wrong.items():
        path = write(tmp_path / "a.h5", None, {"a": good, "b": arrays})
        with pytest.raises(InputError, match=message):
            load_weights(model, path)
    with pytest.raises(InputError, match=r"of 1 layers, the network has 2 with weights"):
        load_weights(model, write(tmp_path / "b.h5", None, {"a": good}))
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_hard_sigmoid_of_a_given_network(tmp_path, random):
    array = kernel(random, 3, 4)
    path = write(tmp_path / "a.h5", None, {"d": [("d/kernel:0", array)]})
    make = lambda *more: keras.Sequential(  # noqa: E731
        [keras.Input((3,)), layers.Dense(4, use_bias=False, activation="hard_sigmoid"), *more]
    )
    model = make()
    load_weights(model, path)
    x = random.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(model(x), np.clip(0.2 * (x @ array) + 0.5, 0, 1), rtol=1e-5)
    with pytest.raises(InputError, match=r"'last' is a hard sigmoid, which Keras 2 computed as"):
        load_weights(make(layers.Activation("hard_sigmoid", name="last")), path)


# --- refusals -------------------------------------------------------------------------------------

SMALL = sequential_of_2_1(("Dense", {"name": "d", "units": 2, "use_bias": False}), shape=(3,))
WEIGHTS = {"d": [("d/kernel:0", np.zeros((3, 2), np.float32))]}


def changed(**settings):
    config = sequential_of_2_1(
        ("Dense", {"name": "d", "units": 2, "use_bias": False, **settings}), shape=(3,)
    )
    return config, WEIGHTS


LAMBDA = {
    "name": "code",
    "function": ["4wEAAAAAAA==", None, None],
    "function_type": "lambda",
    "arguments": {},
}


@pytest.mark.parametrize(
    ("config", "weights", "message"),
    [
        (None, WEIGHTS, r"a.h5: holds weights, but no network to put them into. Give it as --pret"),
        ([1], {}, r"its 'model_config' describes no network"),
        ({"class_name": "Bert"}, {}, r"holds a 'Bert'; only Sequential and functional models"),
        ({"class_name": "Sequential", "config": {}}, {}, r"the Sequential has no list of layers"),
        (*changed(spin=3), r"layer 'd' \(Dense\): its setting 'spin' = 3 is unknown"),
        (*changed(dtype="float31"), r"layer 'd': the dtype 'float31' is unknown"),
        (*changed(activation="swoosh"), r"layer 'd': Dense cannot be built from its settings"),
        (
            *changed(kernel_regularizer={"class_name": "Odd", "config": {}}),
            r"layer 'd': its kernel_regularizer 'Odd' cannot be made",
        ),
        (SMALL, {}, r"the layer 'd' is in its network, but not in its weights"),
        (SMALL, WEIGHTS | {"e": WEIGHTS["d"]}, r"'e' is in its weights, but not in its network"),
        (
            SMALL,
            {"d": [("d/kernel:0", np.zeros((3, 9), np.float32))]},
            r"'d' don't fit: the network has kernel\[3, 2\]; the file has kernel\[3, 9\]",
        ),
        (
            sequential_of_2_1(("Lambda", LAMBDA), shape=(3,)),
            {},
            r"layer 'code' is a Lambda: it runs Python code .* --allow_unsafe",
        ),
        (
            sequential_of_2_1(
                ("TimeDistributed", {"name": "t", "layer": {"class_name": "Lambda",
                                                            "config": LAMBDA}}),
                shape=(3, 2)),
            {},
            r"layer 't' is a Lambda: it runs Python code",
        ),
        (
            sequential_of_2_1(("CuDNNLSTM", {"name": "l", "units": 2}), shape=(3, 2)),
            {},
            r"layer 'l': the class 'CuDNNLSTM' is unknown to the installed Keras",
        ),
        (
            sequential_of_2_1(("LSTM", {"name": "l", "units": 2, "time_major": True}),
                              shape=(3, 2)),
            {},
            r"layer 'l' \(LSTM\): its setting 'time_major' = True is unknown",
        ),
        (
            {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {
                "name": "d", "units": 2}}]},
            {},
            r"the Sequential model .* does not say what it takes",
        ),
        (
            functional(image_input(3), layer("Add", "a", "b", "b"), layer("Add", "b", "a", "a"),
                       outputs=["a"]),
            {},
            r"the layers 'a', 'b' read what no layer makes",
        ),
        (
            functional(image_input(3), layer("Dense", "d", "input_1", units=[2]), outputs=["d"]),
            {},
            r"layer 'd': Dense cannot be built",
        ),
    ],
)  # fmt: skip
def test_refusals(config, weights, message, tmp_path):
    path = write(tmp_path / "a.h5", config, weights)
    with pytest.raises(InputError, match=message) as refused:
        load_network(path)
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "theano"}, r"was written with the Theano backend, whose kernels are mirrored"),
        ({"version": "1.2.2"}, r"was written by Keras 1.2.2, files of Keras 2 and later are read"),
    ],
)
def test_other_writers(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load_network(write(tmp_path / "a.h5", SMALL, WEIGHTS, **options))


def test_a_layer_that_wants_terabytes_is_refused_before_it_gets_them(tmp_path):
    """Its description says 10^12 units, the file holds six numbers."""
    config = sequential_of_2_1(
        ("Dense", {"name": "d", "units": 10**12, "use_bias": False}), shape=(3,)
    )
    path = write(tmp_path / "a.h5", config, WEIGHTS)
    with pytest.raises(InputError, match=r"the network has kernel\[3, 1000000000000\]; the file"):
        load_network(path)
    layers.Dense(1)(keras.Input((2,)))  # nor later, when Keras makes up for what it put off


def test_an_array_that_declares_terabytes_is_refused(tmp_path):
    config = sequential_of_2_1(
        ("Dense", {"name": "d", "units": 10**9, "use_bias": False}), shape=(1000,)
    )
    path = write(tmp_path / "a.h5", config, {"d": []})
    with h5py.File(path, "a") as file:
        group = file["model_weights/d"]
        group.attrs["weight_names"] = np.array([b"d/kernel:0"])
        group.create_dataset("d/kernel:0", (1000, 10**9), "f", chunks=(1, 1000))
    with pytest.raises(InputError, match=r"weights 'd/kernel:0' unpack 0 to 4,000,000,000,000 by"):
        load_network(path)


def test_damage_is_one_line(tmp_path):
    path = write(tmp_path / "a.h5", SMALL, WEIGHTS)
    content = path.read_bytes()
    for cut in (9, 100, len(content) // 2, len(content) - 100):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"a.h5: is truncated or damaged \("):
            load_network(path)
    path.write_bytes(content[:8] + struct.pack("<Q", 2**60) * 20)
    with pytest.raises(InputError, match=r"a.h5: is truncated or damaged"):
        load_network(path)
