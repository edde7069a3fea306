import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from learners.channels.groups import prunable_groups
from learners.discrimination_aware_pruning.config import DisChnPrunedConfig
from learners.discrimination_aware_pruning.stages import (
    channel_axis,
    cut_into_stages,
    first_place,
    possible_ends,
    spread,
)
from nets.backbones import resnet_cifar
from tests.learners.networks import concat, recurrent, residual, vgg
from utils.errors import InputError
from utils.graph import Ref, from_keras


def parts(model, **flags):
    graph = from_keras(model)
    return graph, prunable_groups(graph, DisChnPrunedConfig(**flags))


def cut(model, number, **flags):
    graph, groups = parts(model, **flags)
    return cut_into_stages(graph, groups, number, flag="dcp_nb_stages")


def test_a_plain_network_is_cut_at_outputs_of_convolutions():
    graph, groups = parts(vgg())
    assert [group.name for group in groups] == ["conv1", "conv2", "conv3", "fc1"]
    ends = possible_ends(graph, groups)
    assert ends == {1: Ref("conv2"), 2: Ref("conv3"), 3: Ref("fc1")}
    stages = cut(vgg(), 3)
    assert [[group.name for group in stage.groups] for stage in stages] == [
        ["conv1"],
        ["conv2"],
        ["conv3"],
        ["fc1"],
    ]
    assert [stage.end for stage in stages] == [Ref("conv2"), Ref("conv3"), Ref("fc1"), None]


def test_a_residual_network_is_cut_at_the_ends_of_blocks():
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, resnet_cifar.build(inputs, 10, size=20))
    stages = cut(model, 2)
    assert [stage.end.node for stage in stages[:-1]] == ["stage1_block2_add", "stage2_block2_add"]
    assert [len(stage.groups) for stage in stages] == [3, 3, 3]
    every = cut(model, 8)
    assert [len(stage.groups) for stage in every] == [1] * 9


def test_a_stream_is_chosen_where_it_is_first_read():
    graph, groups = parts(residual(), residual="joint")
    (first, second) = cut(residual(), 1, residual="joint")
    assert first.end == Ref("sum_a")
    names = [[group.name for group in stage.groups] for stage in (first, second)]
    assert names == [["stem", "a1"], ["b1", "b2"]] or names[0] == ["stem", "a1"]
    places = [first_place(graph, group) for stage in (first, second) for group in stage.groups]
    assert places == sorted(places)
    assert len(places) == len(groups)


def test_units_are_chosen_where_the_layer_itself_stands():
    graph, groups = parts(recurrent())
    gru = next(group for group in groups if group.name == "gru")
    assert graph.nodes[first_place(graph, gru)].name == "gru"


@pytest.mark.parametrize(("make", "possible"), [(vgg, 3), (residual, 1), (concat, 2)])
def test_stages_that_would_overlap_are_refused_with_their_number(make, possible):
    assert len(cut(make(), possible)) == possible + 1
    message = (
        rf"`dcp_nb_stages`: {possible + 1} additional losses would make stages overlap: "
        rf"{make.__name__} has {possible} places for one.* Give --dcp_nb_stages={possible} or less"
    )
    with pytest.raises(InputError, match=message):
        cut(make(), possible + 1)


def test_without_additional_losses_there_is_one_stage():
    (stage,) = cut(residual(), 0)
    assert stage.end is None and len(stage.groups) == 2


def test_a_head_needs_a_float_tensor_with_channels():
    inputs = keras.Input((6, 6, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 255, name="scaled")(inputs)
    x = layers.Conv2D(4, 3, name="conv")(x)
    graph = from_keras(keras.Model(inputs, layers.Flatten(name="flat")(x)))
    axes = [channel_axis(graph, Ref(name)) for name in ("pixels", "scaled", "conv")]
    assert axes == [0, 3, 3]
    free = keras.Input((None, 8))
    graph = from_keras(keras.Model(free, layers.Reshape((-1,), name="flat")(free)))
    assert channel_axis(graph, Ref("flat")) == 0


@given(st.data())
def test_spread_is_ascending_and_each_place_the_nearest_that_is_free(data):
    total = data.draw(st.integers(2, 12))
    possible = sorted(data.draw(st.sets(st.integers(1, total - 1), min_size=1)))
    number = data.draw(st.integers(0, len(possible)))
    found = spread(possible, total, number)
    assert len(found) == number and set(found) <= set(possible)
    assert all(a < b for a, b in itertools.pairwise(found))
    if len(possible) == total - 1:  # every place is free: none is further off than half a place
        wishes = np.arange(1, number + 1) * total / (number + 1)
        assert np.all(np.abs(np.array(found) - wishes) <= 0.5 + 1e-9)
