"""Small networks that together hold every row of the op table, an output for each use."""

import keras
import numpy as np
from keras import layers, ops
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.ops.numpy import Abs

from tests.utils.graph.law_test import randomize
from utils.quantization.activation import ActivationQuantizer
from utils.quantization.fake_quant import FakeQuant


def network(inputs, outputs, name):
    return randomize(keras.Model(inputs, list(outputs), name=name))


def functions():
    """Functions of one tensor, with inputs where they are defined."""
    x = keras.Input((4, 3), name="x")
    unit = ops.sigmoid(x) * 0.8 + 0.1
    signed = ops.tanh(x) * 0.9
    plain = (
        *("abs", "absolute", "arcsinh", "arctan", "cbrt", "ceil", "copy", "cos", "cosh", "exp"),
        *("exp2", "expm1", "floor", "isfinite", "isinf", "isnan", "negative", "ones_like"),
        *("round", "sign", "sin", "sinh", "square", "tanh", "trunc", "zeros_like", "erf"),
        *("celu", "elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh"),
        *("leaky_relu", "log_sigmoid", "relu", "relu6", "selu", "sigmoid", "silu"),
        *("soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid"),
        *("squareplus", "tanh_shrink", "stop_gradient", "log_softmax", "softmax"),
    )
    found = [getattr(ops, name)(x) for name in plain]
    found += [getattr(ops, name)(unit) for name in
              ("log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt")]  # fmt: skip
    found += [getattr(ops, name)(signed) for name in ("arccos", "arcsin", "arctanh", "tan")]
    found += [
        Abs()(x),
        ops.arccosh(unit + 1.0),
        ops.nan_to_num(ops.log(x)),
        ops.nan_to_num(ops.log(x), nan=7.0),
        ops.isnan(ops.log(x)),
        ops.clip(x, -0.5, 0.7),
        ops.threshold(x, 0.1, -2.0),
        ops.round(x, 1),
        ops.cast(x * 3.0, "int32"),
        ops.cast(ops.cast(x * 3.0, "int32"), "float32"),
        ops.saturate_cast(x * 300.0, "int8"),
        ops.normalize(x, axis=-1),
        ops.normalize(x, axis=1, order=1),
        ops.gelu(x, approximate=False),
        ops.leaky_relu(x, 0.3),
        ops.softmax(x, axis=1),
    ]
    return network(x, found, "functions")


def combinations():
    """Functions of several tensors, with constants, broadcasting and integers."""
    x, y = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="y")
    whole = keras.Input((3,), dtype="int32", name="whole")
    names = ("add", "subtract", "multiply", "maximum", "minimum", "fmax", "fmin")
    found = [getattr(ops, name)(x, y) for name in names]
    names = (*("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),)
    found += [getattr(ops, name)(x, y) for name in names]
    positive, far = ops.exp(x), ops.exp(y) + 0.5
    constant = np.array([1.0, -2.0, 0.5], np.float32)
    found += [
        ops.divide(x, far),
        ops.true_divide(x, far),
        ops.divide_no_nan(x, ops.relu(y)),
        ops.floor_divide(x * 5.0, far),
        ops.mod(x * 5.0, far),
        ops.mod(whole, 3),
        ops.floor_divide(whole, 2),
        ops.power(positive, y),
        2.0 - x * constant,
        whole + 1,
        whole * 0.5,
        ops.greater(whole, 2),
        ops.maximum(x, 0.25),
        ops.minimum(0.25, x),
        ops.maximum(whole, 2),
        ops.subtract(1, whole),
        ops.cast(whole, "int64") * 3,
        ops.where(ops.greater(x, y), x, 0.0),
        ops.where(ops.greater(x, y), constant, y),
        ops.logical_and(ops.greater(x, 0.0), ops.greater(y, 0.0)),
        ops.logical_or(ops.greater(x, 0.0), ops.greater(y, 0.0)),
        ops.logical_not(ops.greater(x, 0.0)),
        layers.Add()([x, y, x]),
        layers.Subtract()([x, y]),
        layers.Multiply()([x, y]),
        layers.Average()([x, y, y]),
        layers.Maximum()([x, y]),
        layers.Minimum()([x, y]),
        layers.Concatenate()([x, y]),
        layers.Concatenate(axis=1)([x, y]),
        ops.concatenate([x, y], axis=-1),
        ops.stack([x, y], axis=2),
        ops.matmul(x, ops.transpose(y, (0, 2, 1))),
    ]
    return network([x, y, whole], found, "combinations")


def moves():
    """Ops that move, pick, join and reduce, on maps in the middle of a trunk."""
    inputs = keras.Input((6, 4, 3), name="image")
    x = layers.Conv2D(8, 1, name="trunk")(inputs)
    flat = layers.GlobalAveragePooling2D()(x)
    found = [
        layers.Permute((3, 1, 2))(x),
        ops.transpose(x, (0, 2, 1, 3)),
        ops.swapaxes(x, 1, 3),
        ops.moveaxis(x, 1, -1),
        ops.expand_dims(x, 1),
        ops.expand_dims(flat, -1),
        ops.squeeze(ops.expand_dims(x, 2), 2),
        ops.flip(x, axis=1),
        ops.flip(flat),
        layers.RepeatVector(3)(flat),
        layers.Flatten()(x),
        layers.Flatten(data_format="channels_first")(x),
        layers.Reshape((-1, 8))(x),
        layers.Reshape((4, 6, 8))(x),
        layers.Reshape((1, 1, 8))(flat),
        ops.reshape(x, (-1, 4, 48)),
        ops.stack([x, x * 2.0], axis=1),
        ops.pad(x, ((0, 0), (1, 2), (0, 1), (2, 0))),
        ops.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), constant_values=0.5),
        ops.pad(x, ((0, 0), (2, 1), (1, 1), (0, 0)), mode="reflect"),
        ops.pad(x, ((0, 0), (2, 1), (1, 1), (0, 0)), mode="symmetric"),
        x[:, ::2, 1:, :],
        x[:, :, :, 2:6],
        x[:, 0, :, ::-1],
        x[:, -1],
        x[..., None, 3],
        x[:, ::-2],
        ops.take(x, [3, 1, 1, 7], axis=-1),
        ops.take(x, np.array([0, 2]), axis=1),
        ops.take(flat, 2, axis=1),
        *ops.split(x, 2, axis=-1),
        *ops.split(x, [1, 4], axis=1),
        *ops.array_split(x, 3, axis=-1),
        *(getattr(ops, name)(x, axis=(1, 2)) for name in ("mean", "max", "min", "sum", "amax")),
        *(getattr(ops, name)(x, axis=-1, keepdims=True) for name in ("amin", "prod", "std", "var")),
        ops.mean(x, axis=1),
        ops.all(ops.greater(x, -1.0), axis=-1),
        ops.any(ops.greater(x, 1.0), axis=(1, 2)),
        layers.Dense(4, name="on_map")(x),
        layers.Dense(4, name="on_flat")(layers.Activation("tanh")(layers.Flatten()(x))),
        layers.Dense(4, name="on_sum")(layers.Add()([layers.Flatten()(x), layers.Flatten()(x)])),
        layers.Flatten()(x) * 2.0,
        ops.greater(layers.Flatten()(x), layers.Flatten()(x * x)),
        ops.mod(layers.Flatten()(x), layers.Flatten()(x * x) + 1.0),
        ops.where(layers.Flatten()(x) > 0.0, layers.Flatten()(x), 0.5),
        ops.argmax(x, axis=-1),
        ops.argmin(x, axis=1, keepdims=True),
        ops.logsumexp(x, axis=(1, 2)),
        ops.tile(x, (1, 1, 2, 1)),
        ops.einsum("nhwc,nhwd->ncd", x, x),
        x * layers.Dense(8, activation="sigmoid", name="gate")(flat)[:, None, None, :],
        x + ops.mean(x, axis=(0, 1, 2)),
    ]
    return network(inputs, found, "moves")


def pointwise_layers():
    """Layers that treat values alone, normalize, or do something in training only."""
    inputs = keras.Input((6, 4, 4), name="image")
    row = keras.Input((5,), name="row")
    x = layers.Conv2D(8, 1, name="trunk")(inputs)
    adapted = layers.Normalization(mean=[0.1] * 8, variance=[2.0] * 8)
    learned = layers.Normalization(axis=-1, name="learned")
    learned.build((None, 6, 4, 8))
    activations = (
        *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
        *("hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish"),
        *("relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus"),
        *("softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh"),
        *("tanh_shrink", "threshold"),
    )
    found = [layers.Activation(name)(x) for name in activations if name != "threshold"]
    found += [
        layers.ReLU()(x),
        layers.ReLU(6.0)(x),
        layers.ReLU(2.0, negative_slope=0.1)(x),
        layers.ReLU(2.0, negative_slope=0.1, threshold=0.3)(x),
        layers.LeakyReLU(0.1)(x),
        layers.ELU(0.7)(x),
        layers.PReLU(shared_axes=[1, 2], name="prelu_channels")(x),
        layers.PReLU(name="prelu_all")(x),
        layers.PReLU(name="prelu_row")(row),
        layers.Softmax()(x),
        layers.Softmax(axis=1)(x),
        layers.Softmax(axis=[1, 2])(x),
        layers.UnitNormalization()(x),
        layers.BatchNormalization(name="norm")(x),
        layers.BatchNormalization(name="norm_row", scale=False)(row),
        layers.BatchNormalization(axis=1, name="norm_height")(x),
        layers.LayerNormalization(name="layer_norm")(x),
        layers.LayerNormalization(axis=[1, 2, 3], name="layer_norm_all")(x),
        layers.LayerNormalization(name="layer_norm_row", center=False)(row),
        layers.RMSNormalization(name="rms")(x),
        layers.GroupNormalization(4, name="groups")(x),
        layers.GroupNormalization(-1, name="instances", scale=False)(x),
        layers.Rescaling(2.0, offset=-1.0)(x),
        layers.Rescaling([0.5] * 8, offset=[0.25] * 8)(x),
        adapted(x),
        learned(x),
        layers.Normalization(mean=0.5, variance=3.0, axis=None)(row),
        layers.Normalization(mean=0.5, variance=3.0, axis=None, invert=True)(row),
        layers.Identity()(x),
        layers.ActivityRegularization(0.1)(x),
        layers.Dropout(0.3)(x),
        layers.Dropout(0.3, noise_shape=(None, 1, 1, 8))(x),
        layers.SpatialDropout1D(0.2)(layers.Reshape((24, 8))(x)),
        layers.SpatialDropout2D(0.2)(x),
        layers.SpatialDropout3D(0.2)(ops.expand_dims(x, 1)),
        layers.GaussianNoise(0.2)(x),
        layers.GaussianDropout(0.2)(x),
        layers.AlphaDropout(0.2)(x),
        StochasticDepth(0.1, name="depth")(x),
        LayerScale(0.5, 8, name="layer_scale")(x),
        *(
            make(name=f"augment_{number}")(inputs[..., :3])
            for number, make in enumerate((
                lambda **k: layers.RandomBrightness(0.1, **k),
                lambda **k: layers.RandomContrast(0.1, **k),
                lambda **k: layers.RandomFlip(**k),
                lambda **k: layers.RandomRotation(0.1, **k),
                lambda **k: layers.RandomTranslation(0.1, 0.1, **k),
                lambda **k: layers.RandomZoom(0.1, **k),
            ))
        ),
    ]  # fmt: skip
    return network([inputs, row], found, "pointwise_layers")


def quantized():
    """Layers of Flowpress that round."""
    inputs = keras.Input((6, 4, 4), name="image")
    range_, scale = FakeQuant(name="range"), ActivationQuantizer(name="grid", zero_point=100)
    passed = FakeQuant(bits=32, name="passed")(inputs)
    model = network(inputs, [range_(inputs), scale(inputs), passed], "quantized")
    range_.least.assign(-1.1)  # 82.5 steps: 0 lies halfway between two
    range_.greatest.assign(2.3)
    scale.scale.assign(0.02)
    return model


def spatial(rank):
    """Convolutions, pools and paddings of maps with some spatial axes, none of a round size."""
    sizes = (9, 7, 5)[:rank]
    inputs = keras.Input((*sizes, 4), name="map")
    layer = lambda name: getattr(layers, f"{name}{rank}D")  # noqa: E731
    conv, x = layer("Conv"), inputs
    found = [
        conv(
            6, 3, padding=padding, strides=stride, activation="relu", name=f"c_{padding}_{stride}"
        )(x)
        for padding in ("valid", "same")
        for stride in (1, 2)
    ]
    found += [
        conv(6, 2, padding="same", strides=2, use_bias=False, name="even")(x),
        conv(6, 3, padding="same", dilation_rate=2, name="dilated")(x),
        conv(8, 3, padding="same", groups=2, name="grouped")(x),
        conv(5, 1, activation="softmax", name="classes")(x),
        conv(5, 3, padding="same", activation=layers.LeakyReLU(0.1), name="leaky")(x),
    ]
    transposed = getattr(layers, f"Conv{rank}DTranspose")
    found += [
        transposed(3, size, strides=stride, padding=padding, name=f"t_{size}_{stride}_{padding}")(x)
        for size, stride in ((3, 1), (3, 2), (2, 3), (4, 2))
        for padding in ("valid", "same")
    ]
    found.append(transposed(3, 3, strides=2, padding="same", output_padding=0, name="t_out")(x))
    if rank == 1:
        found.append(conv(6, 3, padding="causal", dilation_rate=2, name="causal")(x))
    if rank < 3:
        found += [
            layer("DepthwiseConv")(3, padding="same", strides=2, depth_multiplier=2, name="dw")(x),
            layer("DepthwiseConv")(3, use_bias=False, name="dw_valid")(x),
            layer("SeparableConv")(5, 3, padding="same", depth_multiplier=2, name="sep")(x),
            layer("SeparableConv")(5, 3, strides=2, name="sep_valid", activation="tanh")(x),
        ]
    found += [
        layer(f"{name}Pooling")(size, strides=stride, padding=padding)(x)
        for name in ("Average", "Max")
        for size, stride in ((2, None), (3, 2), (3, 1))
        for padding in ("valid", "same")
    ]
    found += [
        layer("GlobalAveragePooling")()(x),
        layer("GlobalMaxPooling")(keepdims=True)(x),
        layer("UpSampling")(2)(x),
        layer("ZeroPadding")(2)(x),
        layer("Cropping")(1)(x),
        layer("AdaptiveAveragePooling")(2)(x),
        layer("AdaptiveMaxPooling")(3)(x),
        layer("AdaptiveAveragePooling")(sizes[-1])(layer("Cropping")(0)(x)),
        layers.BatchNormalization(name="norm")(conv(4, 1, name="before_norm")(x)),
    ]
    if rank == 2:
        found += [
            layers.ZeroPadding2D(((1, 2), (0, 3)))(x),
            layers.Cropping2D(((1, 2), (0, 3)))(x),
            layers.UpSampling2D((2, 3), interpolation="bilinear")(x),
            layers.Resizing(5, 4)(x),
            layers.Resizing(13, 6, interpolation="nearest")(x),
            ops.image.resize(x, (4, 11)),
            layers.CenterCrop(4, 4)(x),
            ops.depth_to_space(x, 2),
            ops.space_to_depth(x[:, 1:, 1:], 2),
            ops.max_pool(x, 2, 2),
            ops.average_pool(x, 3, 1, padding="same"),
        ]
    return network(inputs, found, f"spatial_{rank}")


def sequences():
    """Recurrent layers, embeddings, einsum, and layers at every time step."""
    x = keras.Input((5, 4), name="sequence")
    words = keras.Input((5,), dtype="int32", name="words")
    states = keras.Input((3,), name="state"), keras.Input((3,), name="memory")
    map_steps = keras.Input((2, 6, 6, 3), name="clip")
    found = []
    for number, (cell, options) in enumerate((
        (layers.SimpleRNN, {}),
        (layers.SimpleRNN, {"activation": "softsign", "use_bias": False}),
        (layers.SimpleRNN, {"activation": "relu", "return_sequences": True}),
        (layers.GRU, {}),
        (layers.GRU, {"reset_after": False, "return_sequences": True}),
        (layers.GRU, {"use_bias": False, "go_backwards": True, "return_sequences": True}),
        (layers.GRU, {"recurrent_activation": "hard_sigmoid"}),
        (layers.LSTM, {"return_sequences": True}),
        (layers.LSTM, {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
        (layers.LSTM, {"unroll": True, "use_bias": False}),
    )):  # fmt: skip
        found.append(cell(3, name=f"cell_{number}", **options)(x))
    found += layers.LSTM(3, return_state=True, name="with_states")(x, initial_state=list(states))
    found += layers.GRU(3, return_state=True, return_sequences=True, name="gru_states")(
        x, initial_state=states[0]
    )
    for mode in ("concat", "sum", "ave", "mul"):
        inner = layers.GRU(3, return_sequences=mode != "sum", name=f"inner_{mode}")
        found.append(layers.Bidirectional(inner, merge_mode=mode, name=f"both_{mode}")(x))
    found.append(layers.Bidirectional(layers.LSTM(3, name="il"), name="both_lstm")(x))
    found += [
        layers.TimeDistributed(layers.Dense(6, activation="relu"), name="steps")(x),
        layers.TimeDistributed(layers.Conv2D(4, 3, padding="same"), name="frames")(map_steps),
        layers.TimeDistributed(layers.Flatten(), name="flat_frames")(map_steps),
        layers.Embedding(10, 4, name="embedding")(words),
        layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d", name="einsum")(x),
        layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", name="heads")(x),
        layers.EinsumDense("...x,xy->...y", 3, activation="gelu", name="dots")(x),
        layers.Dense(6, name="on_steps")(x),
        layers.Dense(2, name="on_conv")(layers.Conv1D(4, 3, padding="same", name="conv")(x)),
    ]
    return network([x, words, *states, map_steps], found, "sequences")


GROUPS = {
    "functions": functions,
    "combinations": combinations,
    "moves": moves,
    "pointwise_layers": pointwise_layers,
    "quantized": quantized,
    "spatial_1": lambda: spatial(1),
    "spatial_2": lambda: spatial(2),
    "spatial_3": lambda: spatial(3),
    "sequences": sequences,
}
