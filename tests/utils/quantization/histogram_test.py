"""Histograms that grow."""

import hypothesis
import hypothesis.strategies as st
import numpy as np

from utils.quantization.histogram import NUM_BINS, Histogram

_RNG = np.random.default_rng(0)


@hypothesis.given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40), st.randoms())
@hypothesis.settings(deadline=None, max_examples=50)
def test_a_histogram_does_not_depend_on_the_order(values: list[float], random: object) -> None:
    whole, parts = Histogram(1), Histogram(1)
    whole.add(np.array([values]))
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for value in shuffled:
        parts.add(np.array([[value]]))
    np.testing.assert_array_equal(whole.counts, parts.counts)
    assert whole.counts.sum() + whole.zeros[0] == len(values)


def test_bins_hold_the_values_that_are_in_them() -> None:
    histogram, values = Histogram(1), _RNG.normal(size=3000)
    for batch in np.array_split(values, 3):
        histogram.add(batch[None])
    width = histogram.width(0)
    expected = np.bincount(np.floor(values / width).astype(int) + NUM_BINS // 2, minlength=NUM_BINS)
    np.testing.assert_array_equal(histogram.counts[0], expected)
    assert np.abs(values).max() < width * NUM_BINS / 2 <= 2 * np.abs(values).max()
