"""Cutting: what changes, what is refused, `gather`, and the law on random networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers, ops

from utils.graph import channel_groups, complexity, from_keras, masked_model, shrink, to_keras
from utils.graph.law import TOLERANCE, law_error, random_keep, relative_error

BATCH = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")


def randomize(model, seed=0):
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if "kernel" not in weight.name:
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    return model


@pytest.fixture(scope="module")
def graph():
    inputs = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    y = layers.Conv2D(6, 3, padding="same", name="inner")(y)
    y = layers.Conv2D(8, 3, padding="same", name="outer")(layers.ReLU()(y))
    x = layers.Add()([x, y])
    x = layers.ReLU()(layers.Conv2D(5, 3, name="tail")(x))
    x = layers.Dense(4, name="head")(layers.Flatten()(x))
    return from_keras(randomize(keras.Model(inputs, x, name="net")))


def mask(size, *removed):
    keep = np.ones(size, dtype=bool)
    keep[list(removed)] = False
    return keep


def test_cuts_the_right_entries(graph):
    small = shrink(graph, {"inner": mask(6, 0, 4)})
    kept = [1, 2, 3, 5]
    for name in ("kernel", "bias"):
        expected = graph.params["inner"][name][..., kept]
        np.testing.assert_array_equal(small.params["inner"][name], expected)
    kernel = graph.params["outer"]["kernel"]
    np.testing.assert_array_equal(small.params["outer"]["kernel"], kernel[:, :, kept])
    assert small.node("inner").attrs["filters"] == 4
    assert small.node("inner").output_shapes == ((None, 6, 6, 4),)
    assert graph.node("inner").attrs["filters"] == 6  # the original is untouched
    assert small.params["stem"]["kernel"] is graph.params["stem"]["kernel"]  # and shared


def test_empty_cut_changes_nothing(graph):
    everything = {group.name: mask(group.size) for group in channel_groups(graph)}
    small = shrink(graph, everything)
    assert small.nodes == graph.nodes
    np.testing.assert_array_equal(to_keras(small)(BATCH), to_keras(graph)(BATCH))


def test_masked_model_adds_only_multiplies(graph):
    model = masked_model(graph, {"stem": mask(8, 1), "inner": mask(6)})
    added = {op.name for op in model.operations} - {node.layer for node in graph.nodes}
    assert added == {"inner_mask", "tail_mask"}


def test_successive_cuts(graph):
    once = shrink(graph, {"stem": mask(8, 1, 2), "inner": mask(6, 5)})
    twice = shrink(shrink(graph, {"stem": mask(8, 1)}), {"stem": mask(7, 1), "inner": mask(6, 5)})
    np.testing.assert_array_equal(to_keras(once)(BATCH), to_keras(twice)(BATCH))


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (
            {"stme": mask(8)},
            r"no channel group is named 'stme'. There are: head, inner, stem, tail",
        ),
        ({"stem": mask(7, 1)}, r"group 'stem' must be a bool array of shape \(8,\).*shape \(7,\)"),
        ({"stem": np.ones(8)}, r"`keep` of group 'stem' must be a bool array.*dtype float64"),
        ({"stem": np.zeros(8, bool)}, r"group 'stem': keep at least one of its 8 channels"),
        ({"head": mask(4, 1)}, r"group 'head' cannot be cut: they reach the model's output 'head'"),
    ],
)
def test_refuses_wrong_keep(graph, keep, message):
    for function in (shrink, masked_model):
        with pytest.raises(ValueError, match=message):
            function(graph, keep)


def test_refuses_to_empty_a_narrow_stream():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(2, 3, padding="same", name="narrow")(inputs)
    x = ops.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1))) + layers.Conv2D(4, 1, name="wide")(x)
    x = layers.Dense(2)(layers.Flatten()(x))
    graph = from_keras(keras.Model(inputs, x))
    with pytest.raises(
        ValueError, match=r"group 'narrow': keep at least one of its channels 1 to 2"
    ):
        shrink(graph, {"narrow": mask(4, 1, 2)})
    shrink(graph, {"narrow": mask(4, 0, 2, 3)})


@pytest.mark.parametrize(
    ("reader_keep", "message"),
    [
        (
            {"stem": mask(3, 1)},
            r"node 'stem' reads no channels that can be cut. Those that do: inn",
        ),
        (
            {"tail": mask(7, 1)},
            r"`reader_keep` of node 'tail' must be a bool array of shape \(8,\)",
        ),
        ({"tail": np.zeros(8, bool)}, r"node 'tail': keep at least one of the channels"),
    ],
)
def test_refuses_wrong_reader_keep(graph, reader_keep, message):
    with pytest.raises(ValueError, match=message):
        shrink(graph, {}, reader_keep)


def test_refuses_to_gather_before_a_shared_layer():
    inputs = keras.Input((6,))
    shared = layers.Dense(6, name="shared")
    x = shared(shared(layers.Dense(6)(inputs)))
    graph = from_keras(keras.Model(inputs, layers.Dense(2)(x)))
    with pytest.raises(ValueError, match=r"'shared' is shared; its calls cannot gather apart"):
        shrink(graph, {}, {"shared#1": mask(6, 2)})


def test_gather(graph, tmp_path):
    """One reader of the stream drops channels that the others keep."""
    keep = {"stem": mask(8, 0), "inner": mask(6, 2)}
    reader_keep = {"tail": mask(8, 0, 3, 4), "inner": mask(8, 0)}
    small = shrink(graph, keep, reader_keep)
    added = [node.name for node in small.nodes if node.name.endswith("_gather")]
    assert added == ["tail_gather"]  # `inner` drops nothing beyond the cut
    assert small.params["tail"]["kernel"].shape == (3, 3, 5, 5)
    assert small.params["stem"]["kernel"].shape[-1] == 7
    assert law_error(graph, keep, BATCH, reader_keep) <= TOLERANCE

    model = to_keras(small)
    expected = model(BATCH)
    model.save(tmp_path / "gather.keras")
    loaded = keras.saving.load_model(tmp_path / "gather.keras")
    assert relative_error(expected, loaded(BATCH)) <= 1e-6

    loaded.export(tmp_path / "saved", verbose=False)
    converted = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    assert relative_error(expected, _run_tflite(converted)) <= 1e-5


def _run_tflite(content):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, BATCH.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, BATCH)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_gather_after_flatten(graph):
    reader_keep = {"head": np.arange(80) % 3 != 0}
    assert shrink(graph, {}, reader_keep).params["head"]["kernel"].shape == (53, 4)
    assert law_error(graph, {"tail": mask(5, 1)}, BATCH, reader_keep) <= TOLERANCE


# Random networks. A step takes one or two tensors of the pool and adds one; all are 6x6 images.


def _merge(layer):
    def build(x, y, n):
        if x.shape[-1] != y.shape[-1]:
            y = layers.Conv2D(x.shape[-1], 1)(y)
        return layer()([x, y])

    return build


def _norm(x, y, n):
    return layers.Activation(("relu", "tanh", "gelu")[n % 3])(layers.BatchNormalization()(x))


def _squeeze_excite(x, y, n):
    scale = layers.Reshape((1, 1, x.shape[-1]))(layers.GlobalAveragePooling2D()(x))
    scale = layers.Dense(n, activation="relu")(scale)
    return layers.Multiply()([x, layers.Dense(x.shape[-1], activation="sigmoid")(scale)])


def _grouped(x, y, n):
    groups = next(count for count in (4, 3, 2, 1) if x.shape[-1] % count == 0)
    return layers.Conv2D(groups * n, 3, padding="same", groups=groups)(x)


def _shuffle(x, y, n):
    channels = x.shape[-1]
    groups = next(count for count in (3, 2, 1) if channels % count == 0)
    x = layers.Reshape((6, 6, groups, channels // groups))(x)
    return layers.Reshape((6, 6, channels))(layers.Permute((1, 2, 4, 3))(x))


def _down_up(x, y, n):
    x = layers.Conv2D(n + 1, 3, 2, padding="same")(x)
    return layers.Conv2DTranspose(n, 3, 2, padding="same")(layers.PReLU(shared_axes=[1, 2])(x))


def _split(x, y, n):
    first, second = ops.split(x, [max(x.shape[-1] // 3, 1)], axis=-1)
    return layers.Concatenate()([second, layers.ReLU()(first)])


def _strided_slice(x, y, n):
    return ops.concatenate([x[..., ::2], x[..., 1::2]], axis=-1)


def _pad_channels(x, y, n):
    wide = ops.pad(x, ((0, 0), (0, 0), (0, 0), (n % 2, 1)))
    return wide + layers.Conv2D(wide.shape[-1], 1)(y)


def _group_norm(x, y, n):
    groups = next(count for count in (3, 2, 1) if x.shape[-1] % count == 0)
    return layers.GroupNormalization(groups)(x)


STEPS = {
    "conv": lambda x, y, n: layers.Conv2D(n + 1, 3, padding="same")(x),
    "norm": _norm,
    "add": _merge(layers.Add),
    "multiply": _merge(layers.Multiply),
    "maximum": _merge(layers.Maximum),
    "concatenate": lambda x, y, n: layers.Concatenate()([x, y]),
    "depthwise": lambda x, y, n: layers.DepthwiseConv2D(
        3, padding="same", depth_multiplier=1 + n % 2
    )(x),
    "separable": lambda x, y, n: layers.SeparableConv2D(n + 1, 3, padding="same")(x),
    "grouped": _grouped,
    "squeeze_excite": _squeeze_excite,
    "shuffle": _shuffle,
    "down_up": _down_up,
    "split": _split,
    "strided_slice": _strided_slice,
    "pad_channels": _pad_channels,
    "group_norm": _group_norm,
    "layer_norm": lambda x, y, n: layers.LayerNormalization()(x),
    "dense": lambda x, y, n: layers.Dense(n + 1, activation="gelu")(x),
    "scaled": lambda x, y, n: (
        ops.clip(x * np.float32(0.5), -2.0, 2.0) + np.linspace(0.1, 1, x.shape[-1], dtype="float32")
    ),
    "resized": lambda x, y, n: layers.Resizing(6, 6)(layers.ZeroPadding2D(1)(x)),
    "pooled": lambda x, y, n: layers.UpSampling2D()(layers.MaxPooling2D()(x)),
    "permuted": lambda x, y, n: ops.transpose(layers.ReLU()(ops.swapaxes(x, 1, 3)), (0, 3, 2, 1)),
}
STEP = st.tuples(st.sampled_from(sorted(STEPS)), *([st.integers(0, 7)] * 3))


def random_model(steps, *, flatten, second_output):
    inputs = keras.Input((6, 6, 3))
    pool = [layers.Conv2D(6, 3, padding="same")(inputs), inputs]
    for kind, first, second, number in steps:
        x, y = pool[-1 - first % len(pool)], pool[-1 - second % len(pool)]
        pool.append(STEPS[kind](x, y, number + 1))
    x = pool[-1]
    if second_output:
        x = layers.Conv2D(5, 1, activation="relu")(x)
    flat = layers.Flatten() if flatten else layers.GlobalAveragePooling2D()
    outputs = [layers.Dense(3)(flat(x))]
    if second_output:
        outputs.append(layers.Conv2D(2, 1)(pool[len(pool) // 2]))
    return keras.Model(inputs, outputs)


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    steps=st.lists(STEP, min_size=3, max_size=9),
    flatten=st.booleans(),
    second_output=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_law_on_random_networks(steps, flatten, second_output, seed):
    keras.utils.set_random_seed(seed)
    model = randomize(random_model(steps, flatten=flatten, second_output=second_output), seed)
    graph = from_keras(model)
    expected, rebuilt = model(BATCH, training=False), to_keras(graph)(BATCH, training=False)
    for first, second in zip(expected, rebuilt, strict=True):
        np.testing.assert_array_equal(first, second)
    keep = random_keep(graph, 0.5, seed)
    assert law_error(graph, keep, BATCH) <= TOLERANCE
    small = shrink(graph, keep)
    assert complexity(small).params == to_keras(small).count_params()
