"""Streams that grow: one group, several segments."""

import keras
import numpy as np
import pytest

from learners.channels.segments import cut, merged, per_reader, segments
from utils.graph import channel_groups, from_keras, shrink, to_keras


@pytest.fixture
def growing():
    """A stream of 4 channels that continues, zero-padded, as the middle 4 of 8."""
    x = keras.Input((8, 8, 3))
    narrow = keras.layers.Conv2D(4, 3, padding="same", name="stem")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="inner")(narrow)
    narrow = keras.layers.Add()([narrow, y])
    y = keras.layers.Conv2D(8, 3, padding="same", name="wide")(narrow)
    padded = keras.ops.pad(narrow, ((0, 0), (0, 0), (0, 0), (2, 2)))
    wide = keras.layers.Add()([padded, y])
    return from_keras(keras.Model(x, keras.layers.Dense(2, name="head")(wide)))


def test_segments_hold_channels_that_appear_in_the_same_places(growing):
    group = next(g for g in channel_groups(growing) if g.size == 8)
    parts = segments(group)
    assert [part.size for part in parts] == [4, 4]
    by_size_of_first_reader = {len(part.readers): part for part in parts}
    assert sorted(by_size_of_first_reader) == [1, 3]  # head only; inner, wide and head
    for part in parts:
        for reader in part.readers:
            chosen = reader.channels[reader.channels >= 0]
            np.testing.assert_array_equal(np.sort(chosen), np.arange(part.size))


def test_masks_of_segments_come_back_together(growing):
    parts = [part for g in channel_groups(growing) for part in segments(g) if part.is_stream]
    keep = {part.name: np.array([True, False, True, False]) for part in parts}
    cut = shrink(growing, merged(growing, keep))
    assert cut.node("stem").output_shapes[0][-1] == 2
    assert cut.node("wide").output_shapes[0][-1] == 4


def test_a_group_in_one_place_stays_itself():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 3, name="first")(x)
    graph = from_keras(keras.Model(x, keras.layers.Conv2D(2, 3, name="second")(y)))
    (group, _) = channel_groups(graph)
    assert segments(group) == [group]
    keep = {"first": np.array([True, False, True, True])}
    np.testing.assert_array_equal(merged(graph, keep)["first"], keep["first"])
    assert merged(graph, {}) == {}


def test_each_reader_may_choose_for_itself(growing):
    group = next(g for g in channel_groups(growing) if g.is_stream)
    parts = {part.readers[0].node: part for part in per_reader(group)}
    assert {name: part.size for name, part in parts.items()} == {"inner": 4, "wide": 4, "head": 8}
    keep = {parts["wide"].name: np.array([True, False, False, True])}
    small = cut(growing, list(parts.values()), keep)
    assert small.params["wide"]["kernel"].shape == (3, 3, 2, 8)
    assert small.params["inner"]["kernel"].shape == growing.params["inner"]["kernel"].shape
    np.testing.assert_array_equal(
        small.params["wide"]["kernel"], growing.params["wide"]["kernel"][:, :, [0, 3]]
    )
    assert sum("Take" in node.op for node in small.nodes) == 1


def test_gathers_and_shared_cuts_together(growing):
    groups = channel_groups(growing)
    stream = next(g for g in groups if g.is_stream)
    inner = [part for g in groups if not g.is_stream for part in segments(g)]
    parts = [*per_reader(stream), *segments(stream), *inner]
    keep = {part.name: np.arange(part.size) % 2 == 0 for part in parts if part.prunable}
    model = to_keras(cut(growing, parts, keep))
    assert model(np.zeros((1, 8, 8, 3), "float32")).shape == (1, 8, 8, 2)


def recurrent_stream():
    """Four units that continue, zero-padded, as the first four of eight."""
    x = keras.Input((5, 3))
    narrow = keras.layers.LSTM(4, return_sequences=True, name="narrow")(x)
    y = keras.layers.Dense(6, name="inner")(narrow)
    y = keras.layers.GRU(8, return_sequences=True, name="wide")(y)
    wide = keras.layers.Add()([keras.ops.pad(narrow, ((0, 0), (0, 0), (0, 4))), y])
    return from_keras(keras.Model(x, keras.layers.Dense(2, name="head")(wide)))


def test_segments_of_units_have_their_part_of_the_loops():
    group = next(g for g in channel_groups(recurrent_stream()) if g.size == 8)
    assert {loop.node: loop.channels.tolist() for loop in group.loops} == {
        "narrow": [0, 1, 2, 3],
        "wide": [0, 1, 2, 3, 4, 5, 6, 7],
    }
    first, second = segments(group)
    assert {loop.node: loop.channels.tolist() for loop in first.loops} == {
        "narrow": [0, 1, 2, 3],
        "wide": [0, 1, 2, 3, -1, -1, -1, -1],
    }
    assert {loop.node: loop.channels.tolist() for loop in second.loops} == {
        "wide": [-1, -1, -1, -1, 0, 1, 2, 3]
    }


def test_a_reader_that_chooses_for_itself_takes_no_unit_away():
    graph = recurrent_stream()
    group = next(g for g in channel_groups(graph) if g.size == 8)
    parts = per_reader(group)
    assert [part.loops for part in parts] == [(), ()]
    small = cut(graph, parts, {"narrow@head": np.arange(8) < 5})
    assert small.params["head"]["kernel"].shape == (5, 2)
    assert small.node("wide").attrs["units"] == 8
