import keras
import pytest
from keras import layers

from learners.filters.choice import filter_groups
from learners.filters.inner_blocks import block_kind, soft_groups
from tests.learners import networks
from tests.learners.filters import blocks
from utils.errors import InputError
from utils.graph import from_keras


def kinds(model):
    graph = from_keras(model)
    return {
        group.name: block_kind(graph, group) for group in filter_groups(graph, residual="joint")
    }


INVERTED, SQUEEZE = "inverted residual", "squeeze and excite"


def test_blocks_are_found_by_topology():
    assert kinds(blocks.mobile(squeeze=True)) == {
        "stem": "",
        "one_expand": INVERTED,
        "two_expand": INVERTED,
        "two_squeeze": SQUEEZE,
        "two_project": "",
    }
    assert kinds(blocks.excited()) == {"first": "", "second": "", "se_squeeze": SQUEEZE}


def test_others_are_none():
    for model in (networks.residual(), networks.vgg(), networks.concat()):
        assert set(kinds(model).values()) == {""}


def test_wide_between_narrow_is_what_counts():
    """Of 1x1 and depthwise convolutions in turns: 3 -> 8 -> 12 -> 6."""
    assert kinds(networks.depthwise()) == {"point1": "", "point2": INVERTED, "last": ""}


def test_a_pooled_head_is_no_squeeze():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(4, activation="relu", name="fc1")(x)
    assert set(kinds(keras.Model(inputs, layers.Dense(6, name="fc2")(x))).values()) == {""}


def test_mobilenet_v3_of_keras():
    model = keras.applications.MobileNetV3Small(
        (64, 64, 3), weights=None, classes=7, include_preprocessing=False
    )
    found = kinds(model)
    assert sum(kind == SQUEEZE for kind in found.values()) == 9
    assert sum(kind == INVERTED for kind in found.values()) == 10


def test_the_inner_channels_of_blocks_are_pruned():
    groups, note = soft_groups(from_keras(blocks.mobile(squeeze=True)))
    assert [group.name for group in groups] == ["one_expand", "two_expand", "two_squeeze"]
    assert note is None


def test_without_blocks_all_inner_layers():
    groups, note = soft_groups(from_keras(networks.residual()))
    assert [group.name for group in groups] == ["a1", "b1"]
    assert note is not None and note.startswith("the network has no inverted-residual and no sq")


def test_scopes_restrict():
    graph = from_keras(blocks.mobile(squeeze=True))
    groups, note = soft_groups(graph, ["two_"])
    assert [group.name for group in groups] == ["two_expand", "two_squeeze"]
    assert note is None
    groups, note = soft_groups(from_keras(networks.residual()), ["a1"])
    assert [group.name for group in groups] == ["a1"]
    assert note is not None and "block in a1: filters" in note


def test_a_scope_that_is_nowhere():
    message = r"^`sfp_scope_names`: no layer whose filters can be pruned has 'tow' in its name\."
    with pytest.raises(InputError, match=message):
        soft_groups(from_keras(blocks.mobile()), ["tow"], source="`sfp_scope_names`")
