import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.kernels.layers import KernelLayer
from learners.sparsity.masks import (
    ELEMENT,
    Granularity,
    largest,
    make_mask,
    parse_granularity,
)


def layer(rows, channels, outputs):
    positions = rows // channels
    return KernelLayer(
        name="conv", node="conv", layer="conv", weights=("kernel",),
        shapes=((positions, 1, channels, outputs),), out_axes=(-1,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("element", ELEMENT),
        ("2:4", Granularity(text="2:4", stay=2, of=4)),
        ("1x4", Granularity(text="1x4", inputs=4)),
        ("16x1", Granularity(text="16x1", outputs=16)),
    ],
)
def test_texts_are_read(text, expected):
    assert parse_granularity(text) == expected


@pytest.mark.parametrize(
    "text", ["", "4:2", "4:4", "0:4", "0x4", "1x1", "2:", "a:b", "-1x4", "2/4"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="must be element, N:M"):
        parse_granularity(text)


@given(
    values=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    share=st.floats(0.0, 1.0),
)
def test_the_largest_by_a_plain_sort(values, share):
    scores = np.array(values, float)
    number = round(share * scores.size)
    order = sorted(range(scores.size), key=lambda i: (-scores[i], i))
    expected = np.isin(np.arange(scores.size), order[:number])
    np.testing.assert_array_equal(largest(scores, number), expected)


@given(seed=st.integers(0, 100), tiles=st.integers(0, 12))
def test_a_tile_goes_as_a_whole_and_by_its_sum(seed, tiles):
    scores = np.random.default_rng(seed).random((8, 6))
    grain = parse_granularity("2x4")
    mask = make_mask(scores, 8 * min(tiles, 6), grain, 4)
    sums = {}
    for down, across in itertools.product(range(2), range(3)):
        place = slice(4 * down, 4 * down + 4), slice(2 * across, 2 * across + 2)
        assert mask[place].all() or not mask[place].any()
        sums[scores[place].sum()] = mask[place].any()
    kept = [stays for _, stays in sorted(sums.items(), reverse=True)]
    assert kept == [True] * min(tiles, 6) + [False] * (6 - min(tiles, 6))


@given(seed=st.integers(0, 100), left=st.integers(0, 48))
def test_n_of_m_keeps_the_best_of_each_group_and_of_the_rest_the_best(seed, left):
    scores = np.random.default_rng(seed).random((8, 6))
    mask = make_mask(scores, left, parse_granularity("2:4"), 4)
    assert np.count_nonzero(mask) == max(left, 24)
    groups, kept = scores.reshape(2, 4, 6), mask.reshape(2, 4, 6)
    for group, output in itertools.product(range(2), range(6)):
        best = np.argsort(-groups[group, :, output])[:2]
        assert kept[group, best, output].all()
    always = make_mask(scores, 0, parse_granularity("2:4"), 4)
    extra = mask & ~always
    if extra.any() and not mask.all():
        assert scores[extra].min() > scores[~mask].max()


def test_counts_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`num_left` must be in \[0, 4\]"):
        make_mask(np.ones((2, 2)), 5)


def test_what_does_not_divide_says_why():
    assert parse_granularity("2:4").why_not(layer(27, 3, 8)) == (
        "3 input channels are no multiple of 4"
    )
    assert parse_granularity("16x1").why_not(layer(9, 1, 8)) == "8 outputs are no multiple of 16"
    assert parse_granularity("1x4").why_not(layer(36, 4, 3)) == ""
    assert ELEMENT.why_not(layer(27, 3, 8)) == ""


@pytest.mark.parametrize("text", ["element", "2:4", "4x1", "1x4"])
def test_blocks_of_the_elimination_kernel_are_those_of_the_mask(text):
    grain = parse_granularity(text)
    blocks = grain.blocks(layer(24, 8, 4))
    assert blocks.width == grain.outputs
    assert blocks.members.shape[1] == grain.inputs
    assert blocks.num_left == grain.stay
