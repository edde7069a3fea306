"""Sparse constants against the loops that the format's description says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.errors import InputError
from utils.frontends.tflite.sparse import Layout, Level, densify


def inside(path, dense, blocks):
    """Give the part of an array below a path: per axis, the entries that are still open."""
    rank, chosen = dense.ndim, []
    for axis in range(rank):
        number = next((n for n, (divided, _) in enumerate(blocks) if divided == axis), None)
        block = 1 if number is None else blocks[number][1]
        outer = [path[axis]] if axis in path else range(dense.shape[axis] // block)
        inner = range(block) if number is None or rank + number not in path else [
            path[rank + number]]  # fmt: skip
        chosen.append([o * block + i for o in outer for i in inner])
    return dense[np.ix_(*chosen)]


def stored(dense, order, blocks, compressed):
    """Store an array level by level, as the format says: the loops that `densify` undoes."""
    sizes = [*dense.shape, *(block for _, block in blocks)]
    for axis, block in blocks:
        sizes[axis] //= block
    levels, paths = [], [{}]
    for axis, is_compressed in zip(order, compressed, strict=True):
        grown, segments = [], [0]
        for path in paths:
            steps = [{**path, axis: i} for i in range(sizes[axis])]
            grown += [s for s in steps if not is_compressed or inside(s, dense, blocks).any()]
            segments.append(len(grown))
        indices = np.array([path[axis] for path in grown], int)
        levels.append(Level(0, np.array(segments), indices) if is_compressed
                      else Level(sizes[axis]))  # fmt: skip
        paths = grown
    values = [inside(path, dense, blocks).item() for path in paths]
    return np.array(values, dense.dtype), Layout(order, [axis for axis, _ in blocks], levels)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_what_was_stored_comes_back(data):
    dense = np.array(data.draw(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3]), min_size=48,
                                        max_size=48)), np.float32).reshape(4, 2, 6)  # fmt: skip
    blocks = data.draw(st.sampled_from([[], [(0, 2)], [(2, 3)], [(0, 4), (2, 2)]]))
    order = data.draw(st.permutations(range(3)))
    order = [*order, *range(3, 3 + len(blocks))]  # blocks are dense and inside, as in real files
    compressed = [data.draw(st.booleans()) for _ in range(3)] + [False] * len(blocks)
    np.testing.assert_array_equal(densify(*_with_shape(dense, order, blocks, compressed)), dense)


def _with_shape(dense, order, blocks, compressed):
    values, layout = stored(dense, order, blocks, compressed)
    return values, dense.shape, layout


ROWS = Level(2)
COLUMNS = Level(0, np.array([0, 1, 3]), np.array([2, 0, 1]))


@pytest.mark.parametrize(
    ("values", "layout", "words"),
    [
        (4, Layout([0, 1], [], [ROWS, COLUMNS]), "stores 4 values for 3 places"),
        (3, Layout([0, 0], [], [ROWS, COLUMNS]), "run over the axes"),
        (3, Layout([0, 1, 2], [5], [ROWS, COLUMNS, ROWS]), "blocks divide the axes"),
        (3, Layout([0, 1, 2], [1], [ROWS, COLUMNS, ROWS]), "do not divide an axis of 3"),
        (3, Layout([0, 1], [], [Level(1 << 40), COLUMNS]), "lies over an axis of 2"),
        (3, Layout([0, 1], [], [ROWS, Level(0, np.array([0, 3]), COLUMNS.indices)]), "not cover"),
        (3, Layout([0, 1], [], [ROWS, Level(0, np.array([0, 3, 2]), np.array([0, 1]))]), "leave"),
        (3, Layout([0, 1], [], [ROWS, Level(0, np.array([0, 1, 3]), np.array([9, 0, 1]))]),
         "leave its axis of 3"),
    ],
)  # fmt: skip
def test_contradictions(values, layout, words):
    with pytest.raises(InputError, match=words):
        densify(np.ones(values), (2, 3), layout)
