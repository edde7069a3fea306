"""The law on hand-made topologies, one for each kind of dependency, and on Keras' own networks."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.utils.graph import recurrent_networks
from utils.graph import channel_groups, complexity, from_keras, shrink, to_keras
from utils.graph.law import TOLERANCE, law_error, random_keep, relative_error
from utils.graph.surgery import masked_model


def randomize(model, seed=0):
    """Give every weight a value that matters: statistics, biases, scales."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if "kernel" in weight.name or "embeddings" in weight.name:
            continue
        if any(part in weight.name for part in ("gamma", "variance", "alpha", "variable", "scale")):
            weight.assign(generator.uniform(0.5, 1.5, shape))
        elif "float" in weight.dtype:
            weight.assign(generator.normal(size=shape) * 0.3)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


def batch_for(model, size=2, seed=1):
    generator = np.random.default_rng(seed)
    batch = {}
    for tensor in model.inputs:
        shape = (size, *(side or 8 for side in tensor.shape[1:]))
        integers = "int" in tensor.dtype
        values = generator.integers(0, 5, shape) if integers else generator.normal(size=shape)
        batch[tensor.name] = values.astype(tensor.dtype)
    return keras.tree.pack_sequence_as(model._inputs_struct, list(batch.values()))


def conv(x, filters, size=3, strides=1, activation="relu", **options):
    x = layers.Conv2D(filters, size, strides, padding="same", **options)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def image(*outputs_of, size=8, channels=3):
    """Model of a function from an image tensor to a feature map, with a head of pool and Dense."""
    inputs = keras.Input((size, size, channels), name="image")
    x = inputs
    for function in outputs_of:
        x = function(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(5, name="head")(x))


def residual_padded():
    def block(x):
        y = conv(conv(x, 12, strides=2), 12, activation=None)
        shortcut = ops.pad(x[:, ::2, ::2, :], ((0, 0), (0, 0), (0, 0), (3, 3)))
        return layers.ReLU()(layers.Add()([shortcut, y]))

    def plain(x):
        return layers.ReLU()(x + conv(conv(x, 6), 6, activation=None))

    return image(lambda x: conv(x, 6), plain, block)


def residual_projected():
    def block(x):
        y = conv(conv(x, 10, strides=2), 10, activation=None)
        return layers.ReLU()(layers.Add()([conv(x, 10, 1, 2, activation=None), y]))

    return image(lambda x: conv(x, 6), block)


def preactivation():
    def block(x):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        return x + layers.Conv2D(8, 3, padding="same")(y)

    return image(lambda x: conv(x, 8), block, block, lambda x: layers.BatchNormalization()(x))


def squeeze_excite_dense():
    def block(x):
        scale = layers.GlobalAveragePooling2D()(x)
        scale = layers.Reshape((1, 1, 8))(scale)
        scale = layers.Dense(4, activation="relu")(scale)
        scale = layers.Dense(8, activation="sigmoid")(scale)
        return layers.Multiply()([x, scale])

    return image(lambda x: conv(x, 8), block, lambda x: conv(x, 6))


def squeeze_excite_conv():
    def hard_sigmoid(x):
        return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)

    def block(x):
        scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
        scale = layers.Conv2D(3, 1, activation="relu")(scale)
        return layers.Multiply()([x, hard_sigmoid(layers.Conv2D(8, 1)(scale))])

    return image(lambda x: conv(x, 8), block, lambda x: conv(x, 6))


def squeeze_excite_flat():
    """The scale has no spatial axes: the Multiply layer adds them."""

    def block(x):
        scale = layers.Dense(8, activation="sigmoid")(layers.GlobalMaxPooling2D()(x))
        return layers.Multiply()([x, scale])

    return image(lambda x: conv(x, 8), block, lambda x: conv(x, 6))


def inverted_residual():
    def block(x):
        y = conv(x, 12, 1)
        y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(y))
        return x + conv(layers.ReLU(6.0)(y), 6, 1, activation=None)

    return image(lambda x: conv(x, 6), block, block)


def depthwise_multiplier():
    return image(
        lambda x: conv(x, 6),
        lambda x: layers.DepthwiseConv2D(3, depth_multiplier=3)(x),
        lambda x: layers.BatchNormalization()(x),
        lambda x: conv(x, 5),
    )


def grouped():
    return image(
        lambda x: conv(x, 12),
        lambda x: conv(x, 12, groups=4),
        lambda x: conv(x, 8, groups=4),
        lambda x: conv(x, 6),
    )


def separable():
    return image(
        lambda x: conv(x, 6),
        lambda x: layers.SeparableConv2D(8, 3, depth_multiplier=2)(x),
        lambda x: layers.BatchNormalization()(x),
        lambda x: conv(x, 4),
    )


def dense_block():
    def block(x):
        for _ in range(3):
            y = layers.ReLU()(layers.BatchNormalization()(x))
            x = layers.Concatenate()([x, layers.Conv2D(4, 3, padding="same")(y)])
        return layers.BatchNormalization()(x)

    return image(lambda x: conv(x, 6), block, lambda x: conv(x, 6, 1), block)


def inception():
    def block(x):
        pooled = layers.AveragePooling2D(3, strides=1, padding="same")(x)
        return layers.Concatenate()([conv(x, 4, 1), conv(conv(x, 4), 6), conv(pooled, 3), x])

    return image(lambda x: conv(x, 6), block, block)


def concatenated_input():
    """The image itself stands beside channels that can be cut."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Concatenate()([inputs, conv(inputs, 6), inputs])
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(conv(x, 5))))


def split():
    def block(x):
        first, second, third = ops.split(x, [4, 7], axis=-1)
        return layers.Concatenate()([third, conv(first, 4), layers.ReLU()(second)])

    return image(lambda x: conv(x, 12), block, lambda x: conv(x, 5))


def sliced():
    def block(x):
        first, rest = x[..., :5], x[:, 1:-1, 1:-1, 5:]
        return layers.Concatenate()([conv(first, 4)[:, 1:-1, 1:-1], rest])

    return image(lambda x: conv(x, 12), block, lambda x: conv(x, 5))


def sliced_with_steps():
    def block(x):
        return layers.Concatenate()([conv(x[..., ::2], 4), conv(x[..., ::-3], 4), x[..., 1::3]])

    return image(lambda x: conv(x, 12), block, lambda x: conv(x, 5))


def taken():
    def block(x):
        return ops.take(x, np.array([7, 1, 1, 3, 0, 5], "int32"), axis=-1)

    return image(lambda x: conv(x, 8), block, lambda x: conv(x, 5))


def flatten():
    inputs = keras.Input((6, 6, 2))
    x = layers.MaxPooling2D()(conv(inputs, 7))
    x = layers.Dropout(0.5)(layers.Dense(12, activation="relu")(layers.Flatten()(x)))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


def permuted():
    inputs = keras.Input((4, 6, 2))
    x = layers.Permute((3, 1, 2))(conv(inputs, 7))
    x = ops.transpose(x, (0, 2, 1, 3))  # height, channels, width
    x = layers.Reshape((4, 42))(x)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(layers.Dense(9)(x))))


def channel_shuffle():
    def shuffle(x):
        x = ops.reshape(x, (-1, 8, 8, 3, 4))
        return ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3)), (-1, 8, 8, 12))

    return image(
        lambda x: conv(x, 12),
        shuffle,
        lambda x: layers.DepthwiseConv2D(3, padding="same")(x),
        lambda x: conv(x, 6),
    )


def encoder_decoder():
    def down_up(x):
        y = layers.ZeroPadding2D(((0, 1), (1, 0)))(x)
        y = conv(layers.MaxPooling2D()(y), 8)
        y = layers.Conv2DTranspose(10, 3, 2, padding="same")(y)
        y = conv(layers.BatchNormalization()(y), 6)
        y = layers.Resizing(8, 8)(layers.UpSampling2D()(y))
        return layers.Concatenate()([layers.Cropping2D(1)(x), layers.Cropping2D(1)(y)])

    return image(lambda x: conv(x, 5), down_up, lambda x: conv(x, 5))


def prelu_and_friends():
    return image(
        lambda x: conv(x, 6, activation=None),
        layers.PReLU(shared_axes=[1, 2]),
        lambda x: conv(x, 6, activation=None),
        layers.PReLU(),
        lambda x: conv(x, 6, activation="gelu"),
        layers.LeakyReLU(),
        lambda x: ops.silu(ops.clip(x, -1.0, 2.0)),
        lambda x: conv(x, 6, activation=None),
        layers.ELU(),
        layers.GaussianNoise(0.1),
        lambda x: conv(x, 6),
    )


def group_norm():
    return image(
        lambda x: layers.Conv2D(12, 3)(x),
        layers.GroupNormalization(4),
        lambda x: layers.Conv2D(8, 3, activation="relu")(x),
        layers.GroupNormalization(-1),
        lambda x: layers.Conv2D(6, 3)(x),
        layers.GroupNormalization(1),
        lambda x: conv(x, 5, 1),
    )


def convnext_block():
    from keras.src.applications.convnext import LayerScale

    def block(x):
        y = layers.DepthwiseConv2D(3, padding="same")(x)
        y = layers.LayerNormalization(epsilon=1e-6)(y)
        y = layers.Dense(16)(y)
        y = layers.Dense(6)(layers.Activation("gelu")(y))
        return x + LayerScale(0.5, 6)(y)

    return image(lambda x: layers.Conv2D(6, 2, 2)(x), block, block)


def layer_scale_without_norm():
    from keras.src.applications.convnext import LayerScale

    return image(lambda x: conv(x, 8), LayerScale(0.5, 8), lambda x: conv(x, 6))


def shared_layers():
    inputs = keras.Input((8, 8, 3))
    shared, norm = layers.Conv2D(6, 3, padding="same"), layers.BatchNormalization()
    x = conv(inputs, 6)
    for _ in range(2):
        x = layers.ReLU()(norm(shared(x)))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(conv(x, 5))))


def siamese():
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    shared = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(6, 3), layers.ReLU()])
    features = [layers.GlobalAveragePooling2D()(shared(side)) for side in (left, right)]
    x = layers.Dense(8, activation="relu")(layers.Concatenate()(features))
    return keras.Model({"left": left, "right": right}, layers.Dense(2)(x))


def nested():
    inner_inputs = keras.Input((8, 8, 6))
    inner = keras.Model(inner_inputs, inner_inputs + conv(inner_inputs, 6), name="inner")
    outer = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(6, 3, padding="same"), inner])
    inputs = keras.Input((8, 8, 3))
    x = outer(inputs, training=False)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(conv(x, 5))))


def several_outputs():
    inputs = keras.Input((8, 8, 3))
    x = conv(conv(inputs, 8), 6)
    first = layers.Conv2D(4, 1, name="map")(x)
    hidden = layers.Dense(9, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, {"map": first, "label": layers.Dense(3)(hidden)})


def preprocessing():
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 0.5])(x)
    x = layers.Normalization()(x)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(conv(x, 7))))


def bare_norms():
    """Batch norms without scale, without shift, without either; statistics of the data first."""

    def norm(x, filters, **options):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization(**options)(x))

    return image(
        layers.Normalization(),
        lambda x: norm(x, 8, scale=False),
        lambda x: norm(x, 7, center=False),
        lambda x: norm(x, 6, scale=False, center=False),
    )


def constants():
    scale = np.linspace(0.5, 1.5, 8, dtype="float32")

    def block(x):
        x = x * scale + scale.reshape(1, 1, 1, 8)
        return ops.where(x > 0.1, x, 0.5 * x) + ops.stop_gradient(ops.cast(x, "float32"))

    return image(lambda x: conv(x, 8), block, lambda x: conv(x, 5))


def ops_of_shape():
    def block(x):
        x = ops.squeeze(ops.expand_dims(x, 1), 1)
        x = ops.moveaxis(ops.swapaxes(x, 1, 3), 1, 3)
        x = ops.flip(x, axis=-1)
        return ops.mean(ops.stack([x, ops.flip(x, axis=2)], axis=1), axis=1)

    return image(lambda x: conv(x, 8), block, lambda x: conv(x, 5))


def spatial_attention():
    def block(x):
        return x * layers.Conv2D(1, 1, activation="sigmoid")(x)

    return image(lambda x: conv(x, 8), block, lambda x: conv(x, 5))


def one_dimension():
    inputs = keras.Input((12, 3))
    x = layers.BatchNormalization()(layers.Conv1D(8, 3, padding="causal")(inputs))
    x = layers.DepthwiseConv1D(3)(layers.MaxPooling1D()(x))
    x = layers.Conv1DTranspose(6, 3)(layers.SeparableConv1D(6, 3)(x))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalMaxPooling1D()(x)))


def three_dimensions():
    inputs = keras.Input((4, 6, 6, 2))
    x = layers.BatchNormalization()(layers.Conv3D(6, 3)(inputs))
    x = layers.Conv3DTranspose(5, 2)(layers.ReLU()(x))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling3D()(x)))


def mixer():
    """Dense over tokens: channels pass; Dense over channels reads them."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Reshape((16, 6))(layers.Conv2D(6, 1)(inputs))
    y = layers.Permute((2, 1))(x)
    y = layers.Dense(16)(layers.Dense(9, activation="gelu")(y))
    x = x + layers.Permute((2, 1))(y)
    x = x + layers.Dense(6)(layers.Dense(12, activation="gelu")(x))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))


def einsum_dense():
    inputs = keras.Input((5, 6))
    x = layers.EinsumDense("abc,cd->abd", (5, 8), bias_axes="d", activation="relu")(inputs)
    x = layers.EinsumDense("...x,xy->...y", 7, bias_axes="y")(x)
    x = layers.EinsumDense("abc,bd->adc", (4, 7))(x)  # over tokens: channels pass
    x = layers.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="de")(x)  # heads: kept
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def embedding():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Conv1D(6, 3, activation="relu")(layers.Embedding(11, 8)(inputs))
    x = layers.RepeatVector(3)(layers.Dense(6)(layers.GlobalMaxPooling1D()(x)))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@keras.saving.register_keras_serializable("law_test")
class Mean(layers.Layer):
    """A layer of a user's that nobody knows."""

    def call(self, x):
        return ops.mean(x, axis=-1, keepdims=True) + x


def opaque():
    return image(
        lambda x: conv(x, 8), lambda x: conv(x, 6), Mean(name="mine"), lambda x: conv(x, 7)
    )


def recurrent():
    inputs = keras.Input((6, 6, 3))
    x = layers.Reshape((6, 48))(conv(conv(inputs, 5), 8))
    return keras.Model(inputs, layers.Dense(4)(layers.Dense(6)(layers.GRU(7)(x))))


def attention():
    inputs = keras.Input((4, 4, 3))
    x = layers.Reshape((16, 8))(conv(inputs, 8))
    x = layers.Softmax()(layers.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(inputs, layers.Dense(4)(layers.Dense(6)(layers.Flatten()(x))))


def unknown_sizes():
    inputs = keras.Input((None, None, 3))
    x = conv(conv(inputs, 8), 6, strides=2)
    x = ops.reshape(x, (-1, 6))
    return keras.Model(inputs, layers.Dense(4)(layers.Dense(5, activation="relu")(x)))


def mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = image(lambda x: conv(x, 8), lambda x: conv(x, 6))
    finally:
        keras.config.set_dtype_policy("float32")
    return model


# Topology -> number of groups that can be cut (of how many).
TOPOLOGIES = {
    residual_padded: (3, 4),
    residual_projected: (3, 4),
    preactivation: (1, 2),
    squeeze_excite_dense: (3, 4),
    squeeze_excite_conv: (3, 4),
    squeeze_excite_flat: (2, 3),
    inverted_residual: (3, 4),
    depthwise_multiplier: (2, 3),
    grouped: (2, 3),
    separable: (3, 4),
    dense_block: (8, 9),
    inception: (9, 10),
    concatenated_input: (2, 3),
    split: (3, 4),
    sliced: (3, 4),
    sliced_with_steps: (4, 5),
    taken: (2, 3),
    flatten: (2, 3),
    permuted: (2, 3),
    channel_shuffle: (2, 3),
    encoder_decoder: (5, 6),
    prelu_and_friends: (5, 6),
    group_norm: (3, 5),
    convnext_block: (2, 4),
    layer_scale_without_norm: (2, 3),
    shared_layers: (2, 3),
    siamese: (2, 3),
    nested: (2, 3),
    several_outputs: (3, 5),
    preprocessing: (1, 2),
    bare_norms: (3, 4),
    constants: (2, 3),
    ops_of_shape: (2, 3),
    spatial_attention: (2, 4),
    one_dimension: (3, 4),
    three_dimensions: (2, 3),
    mixer: (2, 3),
    einsum_dense: (2, 3),
    embedding: (3, 4),
    opaque: (2, 4),
    recurrent: (4, 5),
    attention: (1, 3),
    unknown_sizes: (3, 4),
    **recurrent_networks.TOPOLOGIES,
}


@pytest.fixture(scope="module", params=TOPOLOGIES, ids=lambda build: build.__name__)
def topology(request):
    keras.utils.set_random_seed(0)
    model = randomize(request.param())
    return request.param, model, from_keras(model)


def test_rebuilt_model_is_bit_equal(topology):
    _, model, graph = topology
    rebuilt = to_keras(graph)
    batch = batch_for(model)
    pairs = zip(
        keras.tree.flatten(model(batch, training=False)),
        keras.tree.flatten(rebuilt(batch, training=False)),
        strict=True,
    )
    assert all(np.array_equal(first, second) for first, second in pairs)
    for first, second in zip(model.weights, rebuilt.weights, strict=True):
        assert first.shape == second.shape
        np.testing.assert_array_equal(first, second)


def test_law(topology):
    build, model, graph = topology
    groups = channel_groups(graph)
    assert (sum(group.prunable for group in groups), len(groups)) == TOPOLOGIES[build]
    keep = random_keep(graph, 0.5, seed=0)
    batch = batch_for(model)
    assert law_error(graph, keep, batch) <= TOLERANCE
    # The cut changes the output and so does the input: the law was not met by dead signals.
    outputs = masked_model(graph, keep)(batch)
    assert relative_error(model(batch), outputs) > 1e-3
    assert any(relative_error(*np.split(part, 2)) > 1e-3 for part in keras.tree.flatten(outputs))


def test_shrunk_costs_are_those_of_its_model(topology):
    _, _, graph = topology
    small = shrink(graph, random_keep(graph, 0.5, seed=0))
    assert complexity(small).params == to_keras(small).count_params()
    assert complexity(small).params < complexity(graph).params
    assert complexity(small).flops < complexity(graph).flops or complexity(graph).flops == 0


def test_law_in_half_precision():
    graph = from_keras(randomize(mixed_precision()))
    batch = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert law_error(graph, random_keep(graph, 0.5, seed=0), batch) <= 2e-3  # float16: 11 bits


def test_relative_error_of_what_is_no_number():
    assert np.isnan(relative_error([np.ones(2), np.ones(2)], [np.ones(2), np.array([1.0, np.nan])]))
