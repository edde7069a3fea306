"""Variations change what they say, and nothing else."""

import json
import random

import numpy as np
import pytest

from benchmarks.faults import hostile_files
from benchmarks.faults.hostile_files import ARRAYS, BINARY, JSON, array, entries, packed, places

DOCUMENT = json.dumps({"a": {"b": 1, "c": [0.5, 2]}, "d": "x"}).encode()


@pytest.mark.parametrize("name", BINARY)
def test_binary_variations_differ(name):
    content = bytes(range(256)) * 4
    assert BINARY[name](content, random.Random(0)) != content


@pytest.mark.parametrize("name", JSON)
def test_json_variations_differ_and_are_seeded(name):
    once, again = (JSON[name](DOCUMENT, random.Random(4)) for _ in range(2))
    assert once == again
    assert once != DOCUMENT


def test_places(tmp_path):
    found = dict(places(tmp_path, "x.npz"))
    assert {path.name for path in found.values()} == {"x.npz"}
    assert found["folder"].is_dir()
    assert not found["dangling"].exists()
    assert found["empty"].read_bytes() == b""


def test_archives():
    parts = {"a.npy": array(np.ones(2)), "b.npy": array([1])}
    assert entries(packed(parts)) == parts
    for name, make in ARRAYS.items():
        changed = entries(hostile_files.NPZ[name](packed(parts), random.Random(0)))
        assert set(changed) == set(parts), name
        assert make() in changed.values()


def test_a_bomb_is_small():
    bomb = hostile_files.ARCHIVE["bomb"](packed({"a.npy": array([1])}), random.Random(0))
    assert len(bomb) < 2 << 20
