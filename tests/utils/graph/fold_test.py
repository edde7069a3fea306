import keras
import numpy as np
import pytest
from keras import layers, ops

from utils.graph import from_keras, to_keras
from utils.graph.fold import fold
from utils.graph.law import relative_error


def randomized(model):
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if "kernel" not in weight.name:
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    return model


def folded(build, size=(8, 8, 3)):
    """Graph of the folded model and the error of its outputs."""
    inputs = keras.Input(size)
    model = randomized(keras.Model(inputs, build(inputs)))
    batch = np.random.default_rng(1).normal(size=(2, *size)).astype("float32")
    graph = fold(from_keras(model))
    return graph, relative_error(model(batch), to_keras(graph)(batch))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Conv2D(4, 3, use_bias=False, name="layer"),
        lambda: layers.Conv2D(6, 3, groups=3, name="layer"),
        lambda: layers.Conv2DTranspose(4, 3, name="layer"),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="layer"),
        lambda: layers.SeparableConv2D(5, 3, depth_multiplier=2, name="layer"),
        lambda: layers.Dense(5, name="layer"),
    ],
)
def test_folds_norm_and_activation(layer):
    def build(x):
        x = layers.BatchNormalization(name="norm")(layer()(x))
        return layers.ReLU(6.0, name="act")(x)

    graph, error = folded(build)
    assert [node.name for node in graph.nodes][1:] == ["layer"]
    assert graph.node("layer").attrs["activation"] == "relu6"
    assert graph.node("layer").attrs["use_bias"] and "norm" not in graph.params
    assert error <= 1e-5


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
def test_folds_norms_without_scale_or_shift(scale, center, use_bias):
    def build(x):
        x = layers.Conv2D(4, 3, use_bias=use_bias, name="conv")(x)
        return layers.BatchNormalization(scale=scale, center=center)(x)

    graph, error = folded(build)
    assert [node.name for node in graph.nodes][1:] == ["conv"] and error <= 1e-5


def test_folds_a_chain_and_leaves_the_original():
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for _ in range(3):
        x = ops.silu(layers.BatchNormalization(scale=False)(layers.Conv2D(4, 3)(x)))
    graph = from_keras(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    fused = fold(graph)
    assert (len(graph.nodes), len(fused.nodes)) == (12, 6)
    assert len(fold(graph, activations=False).nodes) == 9


@pytest.mark.parametrize(
    ("build", "num_nodes"),
    [
        # Before the convolution.
        (lambda x: layers.Conv2D(4, 3)(layers.BatchNormalization()(x)), 3),
        # The convolution is read by others too.
        (lambda x: _twice(layers.Conv2D(3, 3)(x)), 4),
        # An activation lies between.
        (lambda x: layers.BatchNormalization()(layers.Conv2D(3, 3, activation="relu")(x)), 3),
        # Another axis.
        (lambda x: layers.BatchNormalization(axis=1)(layers.Conv2D(3, 3)(x)), 3),
        # Activations that no layer has inside: their parameters.
        (lambda x: layers.ReLU(negative_slope=0.1)(layers.Conv2D(3, 3)(x)), 3),
        (lambda x: layers.Softmax()(layers.Conv2D(3, 3)(x)), 3),
    ],
)
def test_leaves_what_cannot_be_folded(build, num_nodes):
    graph, error = folded(build)
    assert len(graph.nodes) == num_nodes and error <= 1e-6


def _twice(x):
    return layers.Add()([x, layers.BatchNormalization()(x)])


def test_shared_layers_stay():
    def build(x):
        conv, norm = layers.Conv2D(3, 1), layers.BatchNormalization()
        return norm(conv(norm(conv(x))))

    graph, error = folded(build)
    assert len(graph.nodes) == 5 and error == 0.0


def test_folded_output_of_the_model():
    graph, error = folded(lambda x: layers.BatchNormalization()(layers.Conv2D(3, 3, name="c")(x)))
    assert [ref.node for ref in graph.outputs] == ["c"] and error <= 1e-5
