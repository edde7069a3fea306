import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from utils.graph import complexity, from_keras


def cost_of(outputs, inputs, **options):
    return complexity(from_keras(keras.Model(inputs, outputs)), **options)


@pytest.fixture(scope="module")
def small():
    inputs = keras.Input((4, 4, 2), name="image")
    x = layers.Conv2D(3, 3, padding="same", name="conv")(inputs)
    x = layers.Dense(5, use_bias=False, name="head")(layers.Flatten()(layers.ReLU()(x)))
    return keras.Model(inputs, x)


def test_counts_by_hand(small):
    cost = complexity(from_keras(small))
    rows = {row.name: row for row in cost.rows}
    assert rows["conv"].params == 3 * 3 * 2 * 3 + 3
    assert rows["conv"].flops == 16 * 3 * 3 * 2 * 3
    assert rows["head"].flops == rows["head"].params == 48 * 5
    assert rows["conv"].output_shape == (None, 4, 4, 3)
    assert rows["conv"].activation_bytes == 48 * 4 and rows["image"].flops == 0
    assert cost.params == small.count_params() and cost.flops == 864 + 240
    assert rows["conv"].nonzeros == 54 and cost.sparsity == pytest.approx(3 / 297)  # zero bias
    # Widest moment: the convolution's output and the ReLU's, 48 floats each.
    assert cost.peak_activation_bytes == 2 * 48 * 4


def test_skip_padding_counts_positions_inside(small):
    """4 positions; along an axis 3 of them see the left, 4 the middle, 3 the right."""
    cost = complexity(from_keras(small), skip_padding=True)
    assert cost.flops == (3 + 4 + 3) ** 2 * 2 * 3 + 240


def test_sparse_flops(small):
    graph = from_keras(small)
    kernel = graph.params["conv"]["kernel"]
    kernel[0, 0] = 0.0
    kernel[1, 1, 0, 0] = 0.0
    row = next(row for row in complexity(graph).rows if row.name == "conv")
    assert row.flops - row.sparse_flops == 16 * 7
    row = next(row for row in complexity(graph, skip_padding=True).rows if row.name == "conv")
    assert row.flops - row.sparse_flops == 3 * 3 * 6 + 4 * 4


def brute_force_uses(inputs, layer):
    """How many (kernel entry, input position) pairs meet inside the image: count with ones."""
    outputs = layer(inputs)
    layer.set_weights([np.ones(weight.shape) for weight in layer.weights])
    image = np.ones((1, *inputs.shape[1:]), "float32")
    return float(np.sum(keras.Model(inputs, outputs)(image))), outputs


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(3, (3, 2), strides=(2, 1), padding="same", use_bias=False),
        layers.Conv2D(3, 5, padding="valid", use_bias=False),
        layers.Conv2D(4, 3, dilation_rate=2, padding="same", groups=2, use_bias=False),
        layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, use_bias=False),
        layers.Conv2DTranspose(3, 3, strides=2, padding="same", use_bias=False),
        layers.Conv2DTranspose(3, 4, strides=3, padding="valid", use_bias=False),
    ],
    ids=lambda layer: layer.name,
)
def test_skip_padding_against_brute_force(layer):
    inputs = keras.Input((7, 6, 4))
    uses, outputs = brute_force_uses(inputs, layer)
    assert cost_of(outputs, inputs, skip_padding=True).flops == uses


def test_causal_padding():
    inputs = keras.Input((7, 2))
    layer = layers.Conv1D(3, 3, padding="causal", dilation_rate=2, use_bias=False)
    uses, outputs = brute_force_uses(inputs, layer)
    assert cost_of(outputs, inputs, skip_padding=True).flops == uses


def test_shared_layer_counts_each_call_once_per_call():
    inputs = keras.Input((4,))
    dense = layers.Dense(4)
    cost = cost_of(dense(dense(inputs)), inputs)
    assert cost.params == 20 and cost.flops == 32


def test_other_kernels():
    inputs = keras.Input((5, 4))
    assert cost_of(layers.EinsumDense("abc,cd->abd", (5, 6))(inputs), inputs).flops == 5 * 4 * 6
    assert cost_of(layers.Dense(6)(inputs), inputs).flops == 5 * 4 * 6
    assert cost_of(layers.SeparableConv1D(6, 3)(inputs), inputs).flops == 3 * (3 * 4 + 4 * 6)


def test_equals_half_of_tensorflows_profiler():
    inputs = keras.Input((9, 9, 3))
    x = layers.Conv2D(4, 3, 2, padding="same", activation="relu")(inputs)
    x = layers.SeparableConv2D(6, 3)(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Dense(5)(layers.Flatten()(x)))
    traced = tf.function(lambda image: model(image, training=False))
    graph = traced.get_concrete_function(tf.TensorSpec((1, 9, 9, 3))).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    options = options.with_empty_output().order_by("float_ops").build()
    found = profiler.profile(graph, cmd="scope", options=options)
    ours = complexity(from_keras(model)).flops
    elementwise = found.total_float_ops - 2 * ours  # bias additions and batch norm
    assert 0 < elementwise < 0.2 * found.total_float_ops
    kernels = ("/convolution", "/depthwise", "/separable_conv2d", "/MatMul")
    parts = [node for node in _leaves(found) if node.float_ops and node.name.endswith(kernels)]
    assert sum(node.float_ops for node in parts) == 2 * ours


def _leaves(node):
    yield node
    for child in node.children:
        yield from _leaves(child)
