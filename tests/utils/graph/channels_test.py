import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from utils.graph import capability_report, channel_groups, from_keras


def groups_of(inputs, outputs):
    return {group.name: group for group in channel_groups(from_keras(keras.Model(inputs, outputs)))}


def test_stream_with_padded_shortcut():
    """The narrow stream is the middle of the wide one."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    y = layers.Conv2D(8, 3, 2, padding="same", name="wide")(x)
    x = ops.pad(x[:, ::2, ::2, :], ((0, 0), (0, 0), (0, 0), (2, 2)))
    x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1, name="reader")(x))
    group = groups_of(inputs, layers.Dense(2, name="head")(x))["stem"]
    assert group.size == 8 and group.prunable and group.is_stream
    assert group.producers == ("stem", "wide")
    np.testing.assert_array_equal(group.producer_channels[0], [2, 3, 4, 5])
    np.testing.assert_array_equal(group.producer_channels[1], range(8))
    read = {reader.node: list(reader.channels) for reader in group.readers}
    assert read == {"wide": [2, 3, 4, 5], "reader": list(range(8))}
    assert {tuple(block) for block in group.blocks} == {(2, 3, 4, 5), tuple(range(8))}


def test_flatten_repeats_channels():
    inputs = keras.Input((2, 1, 3))
    x = layers.Flatten()(layers.Conv2D(4, 1, name="conv")(inputs))
    group = groups_of(inputs, layers.Dense(2, name="head")(x))["conv"]
    np.testing.assert_array_equal(group.readers[0].channels, [0, 1, 2, 3] * 2)
    assert not group.is_stream


def test_concatenate_reads_two_groups():
    inputs = keras.Input((4, 4, 3))
    a, b = (layers.Conv2D(n, 1, name=name)(inputs) for n, name in ((2, "a"), (3, "b")))
    x = layers.Conv2D(2, 1, name="reader")(layers.Concatenate()([inputs, a, b]))
    groups = groups_of(inputs, x)
    np.testing.assert_array_equal(groups["a"].readers[0].channels, [-1, -1, -1, 0, 1, -1, -1, -1])
    np.testing.assert_array_equal(groups["b"].readers[0].channels, [-1] * 5 + [0, 1, 2])


def test_squeeze_excite_is_no_stream():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(4, 1, name="conv")(inputs)
    scale = layers.Dense(4, activation="sigmoid", name="scale")(layers.GlobalMaxPooling2D()(x))
    x = layers.Conv2D(2, 1, name="reader")(layers.Multiply()([x, scale]))
    group = groups_of(inputs, x)["conv"]
    assert group.producers == ("conv", "scale") and not group.is_stream
    assert [reader.node for reader in group.readers] == ["scale", "reader"]


def test_group_of_a_grouped_convolution_is_one_channel():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(6, 1, name="conv")(inputs)
    x = layers.Conv2D(9, 1, groups=3, name="grouped")(x)
    groups = groups_of(inputs, layers.Conv2D(2, 1, name="reader")(x))
    assert groups["conv"].size == 3 and "grouped" not in groups
    np.testing.assert_array_equal(groups["conv"].producer_channels[0], [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(groups["conv"].readers[0].channels, np.repeat(range(3), 3))


@keras.saving.register_keras_serializable("channels_test")
class Mystery(layers.Layer):
    def call(self, x):
        return x[..., ::-1] * ops.max(x, axis=-1, keepdims=True)


REASONS = {
    r"they reach the model's output 'last'": lambda x: x,
    r"'softmax' normalizes over them": lambda x: layers.Softmax(name="softmax")(x),
    r"'norm' normalizes over them": lambda x: layers.LayerNormalization(name="norm")(x),
    r"the activation 'softmax' of 'act' mixes them": lambda x: layers.Activation(
        "softmax", name="act"
    )(x),
    r"'mean(_\d+)?' combines all of them into one": lambda x: ops.mean(x, axis=-1, keepdims=True),
    r"read by 'mystery', which is opaque: no row for 'channels_test>Mystery'": lambda x: Mystery(
        name="mystery"
    )(x),
    r"combines them with 'image'": lambda x: x + x._image,
    r"picks a single one": lambda x: x[..., 2:3],
    r"combines channels on different axes": lambda x: x + ops.transpose(x, (0, 1, 3, 2)),
    r"repeats some of them as padding": lambda x: ops.pad(
        x, ((0, 0), (0, 0), (0, 0), (1, 1)), mode="reflect"
    ),
    r"mixes them with the batch axis": lambda x: layers.Flatten()(ops.reshape(x, (-1, 2))),
    r"joins channels on different axes": lambda x: ops.concatenate(
        [x, ops.transpose(x, (0, 1, 3, 2))], axis=1
    ),
}


@pytest.mark.parametrize("reason", REASONS)
def test_reason_why_channels_stay(reason):
    inputs = keras.Input((4, 4, 4), name="image")
    x = layers.Conv2D(4, 1, name="last")(inputs)
    x._image = inputs
    y = REASONS[reason](x)
    outputs = y if y is x else layers.Dense(2, name="head")(layers.Flatten()(y))
    group = groups_of(inputs, outputs)["last"]
    assert not group.prunable
    assert re.search(reason, group.reason), group.reason


def test_single_channel_is_no_choice():
    inputs = keras.Input((4, 4, 3))
    x = layers.Dense(2)(layers.Flatten()(layers.Conv2D(1, 1, name="one")(inputs)))
    assert groups_of(inputs, x)["one"].reason == "the only channel of 'one'"


def test_layer_with_weights_that_its_row_lacks_is_opaque():
    inputs = keras.Input((4,))
    dense = layers.Dense(4, name="first")
    x = layers.Dense(3, name="second")(dense(inputs))
    dense.enable_lora(2)
    graph = from_keras(keras.Model(inputs, layers.Dense(2, name="third")(x)))
    groups = {group.name: group for group in channel_groups(graph)}
    assert "first" not in groups and groups["second"].prunable
    line = next(line for line in capability_report(graph) if line.layer == "first")
    assert line.action == "opaque" and "lora_kernel_a" in line.reason


def test_capability_report():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(6, name="dense")], name="inner")
    inputs = keras.Input((4,))
    x = Mystery(name="mine")(layers.Dense(5, name="frozen")(inner(inputs)))
    graph = from_keras(keras.Model(inputs, layers.Dense(2, name="head")(x)))
    assert [(line.layer, line.action) for line in capability_report(graph)] == [
        ("inner", "flattened"),
        ("mine", "opaque"),
        ("dense", "cut"),
        ("frozen", "kept"),
        ("head", "kept"),
    ]
