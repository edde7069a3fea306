"""Single weights: the same course as that of blocks, whose tests are against refitting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.reconstruction import single
from learners.reconstruction.blocks import Blocks
from learners.reconstruction.elimination import eliminate

NUM_ROWS, NUM_OUTPUTS = 12, 5


def moments(seed, num_samples=80):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_samples, NUM_ROWS)) @ rng.normal(size=(NUM_ROWS, NUM_ROWS))
    kernel = rng.normal(size=(NUM_ROWS, NUM_OUTPUTS))
    return x.T @ x, x.T @ (x @ kernel + rng.normal(size=(num_samples, NUM_OUTPUTS))), kernel


def halves(values, rows, outputs):
    """Give each weight a grid of its own, so that places that are mixed up show."""
    step = 0.5 + 0.01 * rows + 0.1 * outputs
    return step * np.round(values / step)


def by_blocks(monkeypatch, *arguments, **options):
    """Take the way of larger blocks."""
    with monkeypatch.context() as patch:
        patch.setattr(Blocks, "are_single", False)
        return eliminate(*arguments, **options)


def assert_same(found, expected):
    np.testing.assert_array_equal(found.order, expected.order)
    np.testing.assert_allclose(found.errors, expected.errors, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-9)


BLOCKS = {"all": Blocks.single(NUM_ROWS), "1 of 4": Blocks.n_of_m(12, 12, stay=1, of=4)}


@pytest.mark.parametrize("panel", [1, 5, single.PANEL])
@pytest.mark.parametrize("with_reach", [False, True])
@pytest.mark.parametrize("target", [None, halves])
@pytest.mark.parametrize("blocks", BLOCKS.values(), ids=BLOCKS)
def test_the_course_is_that_of_blocks(blocks, target, with_reach, panel, monkeypatch):
    gram, cross, kernel = moments(0)
    reach = np.random.default_rng(1).uniform(0.05, 0.4, kernel.shape) if with_reach else None
    monkeypatch.setattr(single, "PANEL", panel)
    options = {"target": target, "reach": reach, "kernel": kernel, "pull": 1e-3}
    found = eliminate(gram, cross, blocks, **options)
    assert_same(found, by_blocks(monkeypatch, gram, cross, blocks, **options))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.booleans(), st.sampled_from([2, 96]))
def test_absent_weights_are_left_out_as_with_blocks(seed, share, rounds, panel):
    gram, cross, kernel = moments(seed)
    present = np.random.default_rng(seed).random(kernel.shape) < share
    options = {"target": halves if rounds else None, "kernel": kernel, "present": present}
    blocks = BLOCKS["all" if seed % 2 else "1 of 4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single, "PANEL", panel)
        found = eliminate(gram, cross, blocks, **options)
        assert_same(found, by_blocks(patch, gram, cross, blocks, **options))


def test_a_singular_gram_matrix_is_refused():
    """Rows alike, no pull: nothing of the inverse is left for the second."""
    gram = np.ones((2, 2))
    start = single.Start(gram, np.ones((2, 1)), gram, np.ones((2, 1)), np.ones((2, 1), bool))
    with pytest.raises(ValueError, match=r"singular to rounding\. Raise `pull`"):
        single.run(start, Blocks.single(2))
