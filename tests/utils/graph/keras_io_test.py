"""Reading and rebuilding Keras models; Keras' own networks through everything."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.ops import get_stats_for_node_def

from utils.graph import channel_groups, complexity, from_keras, shrink, to_keras
from utils.graph.law import TOLERANCE, law_error, random_keep

# Network -> smallest useful image, groups that can be cut, all groups.
ZOO = {
    "MobileNet": (32, 14, 15),
    "MobileNetV2": (32, 25, 26),
    "MobileNetV3Small": (32, 27, 28),
    "ResNet50": (32, 37, 38),
    "ResNet50V2": (32, 37, 38),
    "DenseNet121": (32, 120, 121),
    "EfficientNetB0": (32, 40, 41),
    "EfficientNetV2B0": (32, 44, 45),
    "Xception": (71, 28, 29),
    "InceptionV3": (75, 94, 95),
    "NASNetMobile": (32, 125, 126),
    "ConvNeXtTiny": (32, 18, 23),
    "VGG16": (32, 15, 16),
}
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
    generator = np.random.default_rng(0)
    for layer in model.layers:
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if "kernel" in weight.name:
                continue
            if isinstance(layer, layers.Normalization) and weight.name == "count":
                continue
            centred = any(part in weight.name for part in ("beta", "mean", "bias"))
            values = (
                generator.normal(0, 0.3, shape) if centred else generator.uniform(0.5, 1.5, shape)
            )
            weight.assign(values)
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


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
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None)
    randomize(model)
    batch = np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype("float32")
    graph = from_keras(model)

    rebuilt = to_keras(graph)
    np.testing.assert_array_equal(model(batch, training=False), rebuilt(batch, training=False))
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
    assert law_error(graph, keep, batch) <= TOLERANCE

    folder, files = shrunk_files
    small = to_keras(shrink(graph, keep))
    assert complexity(shrink(graph, keep)).params == small.count_params()
    paths = [str(folder / f"{name}{ending}") for ending in (".keras", ".x.npy", ".y.npy")]
    small.save(paths[0])
    np.save(paths[1], batch)
    np.save(paths[2], small(batch, training=False))
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
