"""Gathers are counted and timed."""

import keras
import numpy as np
import pytest

from learners.channels.gathers import gather_note, gathers
from learners.channels.segments import cut, per_reader
from utils.graph import channel_groups, from_keras


@pytest.fixture
def before():
    x = keras.Input((8, 8, 3))
    stem = keras.layers.Conv2D(4, 3, padding="same", name="stem")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="inner")(stem)
    total = keras.layers.Add()([stem, y])
    return from_keras(keras.Model(x, keras.layers.Dense(2, name="head")(total)))


def test_two_readers_of_a_stream_choose_for_themselves(before):
    stream = next(group for group in channel_groups(before) if group.is_stream)
    parts = per_reader(stream)
    keep = {part.name: np.arange(part.size) % 2 == i for i, part in enumerate(parts)}
    small = cut(before, parts, keep)
    assert len(gathers(small, before)) == 2
    note = gather_note(small, before)
    assert note is not None
    assert note.startswith("2 gathers stand in front of layers")
    assert float(note.split()[-2]) > 0


def test_a_cut_without_gathers_has_no_note(before):
    assert gathers(before, before) == []
    assert gather_note(before, before) is None
