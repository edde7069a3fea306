"""Reading and rebuilding Keras models; Keras' own networks through everything."""

import functools
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from keras.src.applications import convnext, densenet, efficientnet, nasnet
from tensorflow.python.framework.ops import get_stats_for_node_def

from utils.errors import InputError
from utils.graph import (
    Ref,
    capability_report,
    channel_groups,
    complexity,
    from_keras,
    masked_model,
    shrink,
    to_keras,
)
from utils.graph.keras_io import dry_run
from utils.graph.law import (
    TOLERANCE,
    TOLERANCE_FLOAT64,
    in_float64,
    random_keep,
    relative_error,
)

# Network -> smallest useful image, groups that can be cut, all groups. Families that repeat their
# blocks many times have fewer of them here.
ZOO = {
    "MobileNet": (32, 14, 15),
    "MobileNetV2": (32, 25, 26),
    "MobileNetV3Small": (32, 27, 28),
    "ResNet50": (32, 37, 38),
    "ResNet50V2": (32, 37, 38),
    "DenseNet121": (32, 20, 21),
    "EfficientNetB0": (32, 24, 25),
    "EfficientNetV2B0": (32, 44, 45),
    "Xception": (71, 28, 29),
    "InceptionV3": (75, 94, 95),
    "NASNetMobile": (32, 52, 53),
    "ConvNeXtTiny": (32, 5, 10),
    "VGG16": (32, 15, 16),
}
SHORTENED = {
    "DenseNet121": functools.partial(densenet.DenseNet, [2, 2, 2, 2]),
    "EfficientNetB0": functools.partial(efficientnet.EfficientNet, 1.0, 0.3, 32),
    "NASNetMobile": functools.partial(
        nasnet.NASNet, penultimate_filters=1056, num_blocks=1, stem_block_filters=32,
        skip_reduction=False, filter_multiplier=2,
    ),
    "ConvNeXtTiny": functools.partial(
        convnext.ConvNeXt, depths=[1, 1, 2, 1], projection_dims=[96, 192, 384, 768]
    ),
}  # fmt: skip
COUNTED = ("Conv2D", "DepthwiseConv2dNative", "MatMul")

# Runs where only Keras is known: the files must not need anything else.
LOADER = """
import json, sys
import keras, numpy
for path, inputs, expected in json.loads(sys.stdin.read()):
    outputs = numpy.asarray(keras.saving.load_model(path)(numpy.load(inputs)))
    expected = numpy.load(expected)
    error = float(abs(outputs - expected).max() / abs(expected).max())
    print(json.dumps([path, error]))
assert not [name for name in sys.modules if name.split(".")[0] == "utils"]
"""


def randomize(model):
    """Give every weight but the kernels a random value that matters."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if "kernel" in weight.name or isinstance(layer, layers.Normalization):
                continue
            centred = any(part in weight.name for part in ("beta", "mean", "bias"))
            low, high = (-0.5, 0.5) if centred else (0.5, 1.5)
            weight.assign(generator.uniform(low, high, shape))


def keep_signals_alive(model, masked, batch):
    """Give batch norm the statistics of the masked network on a batch, disturbed at random.

    Without that the signals die on the way, and dead networks obey any law. Where nothing
    normalizes, kernels make up for what ReLU and the cut halve.
    """
    generator = np.random.default_rng(0)
    norms = (layers.BatchNormalization, layers.LayerNormalization)
    names = [norm.name for norm in model.layers if isinstance(norm, norms[0])]
    if not any(isinstance(layer, norms) for layer in model.layers):
        for layer in model.layers:
            if isinstance(layer, layers.Conv2D):
                layer.kernel.assign(2.0 * layer.kernel)
    for name in names:
        masked.get_layer(name).momentum = 0.0
    masked(batch, training=True)
    for name in names:
        norm, measured = model.get_layer(name), masked.get_layer(name)
        deviation = np.sqrt(measured.moving_variance)
        shift = 0.3 * deviation * generator.normal(size=deviation.shape)
        norm.moving_mean.assign(measured.moving_mean + shift)
        norm.moving_variance.assign(deviation**2 * generator.uniform(0.5, 1.5, deviation.shape))


def profiled_flops(model):
    """TensorFlow's own figures for the kernels of a traced model, functions inside included."""
    size = [(1, *tensor.shape[1:]) for tensor in model.inputs]
    traced = tf.function(lambda image: model(image, training=False))
    return _graph_flops(traced.get_concrete_function(tf.TensorSpec(size[0])).graph)


def _graph_flops(graph):
    total = 0
    for op in graph.get_operations():
        if op.type in COUNTED:
            total += int(get_stats_for_node_def(graph, op.node_def, "flops").value)
        elif op.type in ("PartitionedCall", "StatefulPartitionedCall"):  # grouped convolutions
            total += _graph_flops(graph._get_function(op.get_attr("f").name).graph)
    return total


@pytest.fixture(scope="module")
def shrunk_files(tmp_path_factory):
    """Folder and list of [model, inputs, expected outputs] that the zoo's tests leave behind."""
    return tmp_path_factory.mktemp("zoo"), []


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name, shrunk_files):
    size, num_prunable, num_groups = ZOO[name]
    keras.utils.set_random_seed(0)
    build = SHORTENED.get(name) or getattr(keras.applications, name)
    model = build(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None)
    batch = np.random.default_rng(1).uniform(0, 255, (16, size, size, 3)).astype("float32")
    randomize(model)
    graph = from_keras(model)
    outputs = np.asarray(model(batch[:2], training=False))

    rebuilt = to_keras(graph)
    np.testing.assert_array_equal(outputs, rebuilt(batch[:2], training=False))
    assert [w.name for w in rebuilt.weights] == [w.name for w in model.weights] or name in (
        "ConvNeXtTiny",  # its layer scales have unnamed weights, which Keras numbers anew
    )
    assert [layer.name for layer in rebuilt.layers if layer.weights] == [
        layer.name for layer in _flat_layers(model) if layer.weights
    ]

    cost = complexity(graph)
    assert cost.params == model.count_params()
    assert 2 * cost.flops == profiled_flops(model)

    groups = channel_groups(graph)
    assert (sum(group.prunable for group in groups), len(groups)) == (num_prunable, num_groups)
    keep = random_keep(graph, 0.5, seed=0)
    masked, small = masked_model(graph, keep), to_keras(shrink(graph, keep))
    outputs = np.asarray(small(batch[:2], training=False))
    assert relative_error(masked(batch[:2], training=False), outputs) <= TOLERANCE
    assert complexity(shrink(graph, keep)).params == small.count_params()

    folder, files = shrunk_files
    paths = [str(folder / f"{name}{ending}") for ending in (".keras", ".x.npy", ".y.npy")]
    small.save(paths[0])
    np.save(paths[1], batch[:2])
    np.save(paths[2], outputs)

    keep_signals_alive(model, masked, batch)
    double = in_float64(from_keras(model))
    batch = batch[:2].astype("float64")
    outputs = np.asarray(to_keras(shrink(double, keep))(batch, training=False))
    expected = masked_model(double, keep)(batch, training=False)
    assert relative_error(expected, outputs) <= TOLERANCE_FLOAT64
    assert relative_error(outputs[0], outputs[1]) > 1e-3  # the image matters at the other end
    files.append(paths)
    keras.backend.clear_session()


def _flat_layers(model):
    for layer in model.layers:
        yield from _flat_layers(layer) if isinstance(layer, keras.Model) else [layer]


def test_zoo_loads_with_plain_keras(shrunk_files, tmp_path):
    _, files = shrunk_files
    if not files:
        pytest.skip("the zoo's tests, which write the files, did not run")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", LOADER],
        input=json.dumps(files),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    errors = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert len(errors) == len(files)
    assert max(errors.values()) <= 1e-6


def small_model():
    inputs = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.Dropout(0.5)(layers.BatchNormalization(name="norm")(x))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)), name="small")


def test_graph_has_names_attrs_shapes_and_weights_in_order():
    model = small_model()
    graph = from_keras(model)
    assert graph.name == "small" and [ref.node for ref in graph.inputs] == ["image"]
    assert list(graph.params) == ["conv", "norm", "head"]
    assert list(graph.params["norm"]) == ["gamma", "beta", "moving_mean", "moving_variance"]
    conv = graph.node("conv")
    assert conv.op == "keras.layers.Conv2D" and conv.attrs["strides"] == (1, 1)
    assert conv.output_shapes == ((None, 4, 4, 4),) and conv.output_dtypes == ("float32",)
    graph.params["conv"]["kernel"][:] = 0  # a copy: the model keeps its own
    assert np.abs(model.get_layer("conv").get_weights()[0]).max() > 0


def test_trainable_flags_and_regularizers_survive():
    inputs = keras.Input((4,))
    layer = layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1), trainable=False)
    rebuilt = to_keras(from_keras(keras.Model(inputs, layer(inputs))))
    assert not rebuilt.layers[1].trainable
    assert float(rebuilt.layers[1].kernel_regularizer.l2) == pytest.approx(0.1)


def test_nested_models_are_flattened_and_said_so():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense")], name="inner")
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="dense")(inner(inner(inputs)))
    model = keras.Model(inputs, x)
    graph = from_keras(model)
    assert [node.name for node in graph.nodes[1:]] == ["dense", "dense#1", "dense_1"]
    assert {note.layer: note.action for note in graph.notes} == {"inner": "flattened"}
    batch = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(model(batch), to_keras(graph)(batch))


def test_nested_model_called_for_inference_stays_so():
    inner = keras.Sequential([keras.Input((4,)), layers.BatchNormalization()])
    inputs = keras.Input((4,))
    graph = from_keras(keras.Model(inputs, inner(inputs, training=False)))
    assert graph.nodes[-1].kwargs["training"] is False


def test_nested_model_keeps_its_conversion_of_types():
    inner = keras.Sequential([keras.Input((4,)), layers.Rescaling(0.5)])
    inputs = keras.Input((4,), dtype="uint8")
    model = keras.Model(inputs, inner(inputs))
    graph = from_keras(model)
    assert graph.nodes[1].op == "keras.src.ops.core.Cast"
    batch = np.arange(8, dtype="uint8").reshape(2, 4)
    np.testing.assert_array_equal(model(batch), to_keras(graph)(batch))


def test_graph_inside_a_larger_one():
    """Nodes of other models that share the layers are not read."""
    model = small_model()
    inside = keras.Model(model.inputs, model.get_layer("norm").output)
    assert [node.layer for node in from_keras(inside).nodes] == ["image", "conv", "norm"]


class Subclassed(keras.Model):
    def __init__(self, own_weight=False):
        super().__init__(name="subclassed")
        self.conv, self.head = layers.Conv2D(4, 3), layers.Dense(2)
        self.scale = self.add_weight(shape=(), name="scale") if own_weight else 1.0

    def call(self, x):
        return self.head(layers.Flatten()(ops.relu(self.conv(x)) * self.scale))


def test_subclassed_model_is_traced():
    model = Subclassed()
    batch = np.ones((2, 6, 6, 3), "float32")
    expected = model(batch)
    np.testing.assert_array_equal(expected, to_keras(from_keras(model))(batch))


class Untraceable(keras.Model):
    def call(self, x):
        return tf.nn.relu(x)


class Unregistered(layers.Layer):
    """A composite of a user's, with weights of one name."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first, self.second = layers.Dense(units, "relu"), layers.Dense(units)

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], self.units))
        super().build(shape)

    def call(self, x):
        return self.second(self.first(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def curve(x):
    return ops.relu(x) - 0.1 * x


def _model_of(layer):
    inputs = keras.Input((4,))
    return keras.Model(inputs, layer(inputs))


def _called(model):
    model(np.ones((2, 6, 6, 3), "float32"))
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "a path", r"expected a keras.Model. Received: builtins.str"),
        (lambda: keras.Sequential([layers.Dense(2)]), r"is not built: its input shape is unknown"),
        (lambda: Subclassed(), r"has not been called yet. Call it once"),
        (lambda: _called(Subclassed(own_weight=True)), r"move weights made by the model itself"),
        (lambda: _called(Untraceable()), r"cannot be traced: .*Use Keras layers and keras.ops"),
        (lambda: _model_of(layers.Lambda(lambda x: x + 1)), r"is a Lambda: it runs Python code"),
    ],
)
def test_refuses_models_it_cannot_rebuild(make, message):
    with pytest.raises(InputError, match=message):
        from_keras(make())


def test_unregistered_classes_and_functions_of_this_process():
    model = _model_of(layers.Dense(3, activation=curve, name="curved"))
    model = keras.Sequential([model, Unregistered(4, name="mine"), layers.Dropout(0.5)])
    graph = from_keras(model)
    assert graph.node("mine").op == f"{__name__}>Unregistered"
    weights = list(graph.params["mine"])
    assert len(set(weights)) == 4 and weights[0].endswith("/kernel")
    rebuilt, x = to_keras(graph), np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_array_equal(rebuilt(x), model(x))
    again = to_keras(from_keras(rebuilt))
    np.testing.assert_array_equal(again(x), model(x))
    lines = [line for line in capability_report(graph) if line.layer == "mine"]
    assert [line.action for line in lines] == ["opaque"]


def test_classes_of_the_script_that_runs():
    """Keras writes no module for what stands in `__main__`."""

    class Block(Unregistered):
        __module__ = "__main__"

    for make in (Block, keras.saving.register_keras_serializable("script")(Block)):
        model = _model_of(make(3, name="b"))
        assert keras.saving.serialize_keras_object(model.get_layer("b"))["module"] is None
        graph = from_keras(model)
        x = np.ones((2, 4), "float32")
        np.testing.assert_array_equal(to_keras(graph)(x), model(x))
    assert graph.node("b").op == "script>Block"


def test_two_unregistered_classes_of_one_name():
    other = type("Unregistered", (Unregistered,), {})
    model = keras.Sequential([keras.Input((4,)), Unregistered(4), other(4)])
    with pytest.raises(InputError, match=r"two classes of layers are called 'Unregistered'"):
        from_keras(model)


def test_what_a_dry_run_put_off_is_never_made_up_for():
    """Keras would make its variables, of a terabyte, when the next layer is called."""
    graph = from_keras(_model_of(layers.Dense(3, use_bias=False, name="d")))
    huge = graph.node("d").with_attrs(units=10**12).replace(output_shapes=((None, 10**12),))
    graph = graph.replace(nodes=(graph.nodes[0], huge), output_structure=Ref("d"))
    with pytest.raises(ValueError, match=r"layer 'd': its weights must have"):
        dry_run(graph)
    assert layers.Dense(1)(keras.Input((2,))).shape == (None, 1)


def test_lambdas_keep_what_they_use_from_outside():
    model = _model_of(layers.Lambda(lambda x: tf.nn.relu(x) * np.float32(2)))
    rebuilt = to_keras(from_keras(model, allow_unsafe=True))
    x = np.array([[-1.0, 0.5, 1.0, 2.0]], "float32")
    np.testing.assert_array_equal(rebuilt(x), [[0.0, 1.0, 2.0, 4.0]])


def test_lambda_with_leave():
    model = _model_of(layers.Lambda(lambda x: x + 1.0))
    graph = from_keras(model, allow_unsafe=True)
    np.testing.assert_array_equal(to_keras(graph)(np.zeros((1, 4))), np.ones((1, 4)))
    with pytest.raises(InputError, match=r"with --allow_unsafe\."):
        to_keras(graph.replace(allow_unsafe=False))


def test_refuses_weights_and_shapes_that_do_not_match():
    graph = from_keras(small_model())
    conv = {**graph.params["conv"], "kernel": np.zeros((3, 3, 3, 5), "float32")}
    with pytest.raises(ValueError, match=r"layer 'conv': its weights must have .*3, 3, 3, 5"):
        to_keras(graph.replace(params={**graph.params, "conv": conv}))
    nodes = [
        node.replace(output_shapes=((None, 9),)) if node.name == "head" else node
        for node in graph.nodes
    ]
    with pytest.raises(ValueError, match=r"node 'head': the graph says .*\(None, 9\).*\(None, 2\)"):
        to_keras(graph.replace(nodes=tuple(nodes)))


def test_very_deep_model():
    inputs = keras.Input((2,))
    x = inputs
    for _ in range(400):
        x = ops.relu(x)
    limit = sys.getrecursionlimit()
    assert len(to_keras(from_keras(keras.Model(inputs, x))).operations) == 401
    assert sys.getrecursionlimit() == limit
