"""Codebooks: against all partitions, scikit-learn and loops; properties of every fit."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.cluster import KMeans

from utils.quantization import codebook
from utils.quantization.codebook import STYLES, cluster_sums, fit_codebook, nearest

FLOATS = st.floats(-1e3, 1e3, width=32)


@st.composite
def grouped(draw):
    """Draw values with groups, all groups taken, and what each value counts."""
    size = draw(st.integers(1, 60))
    values = draw(hnp.arrays(np.float64, size, elements=FLOATS))
    ids = draw(hnp.arrays(np.int64, size, elements=st.integers(0, 2)))
    weights = draw(hnp.arrays(np.float64, size, elements=st.sampled_from([0.0, 0.5, 1.0, 3.0])))
    return values, np.unique(ids, return_inverse=True)[1], weights


def one(values):
    return np.zeros(np.shape(values), int)


def squared_error(values, levels, weights=None):
    found = levels[0][nearest(values, one(values), levels)]
    return float(np.sum((1.0 if weights is None else weights) * (values - found) ** 2))


def least_error(values, num_levels, weights, *, keep_zero):
    """Try all divisions of the sorted values among the levels."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    best = np.inf
    for cuts in itertools.combinations_with_replacement(range(len(values) + 1), num_levels - 1):
        ends = [0, *cuts, len(values)]
        parts = [slice(a, b) for a, b in itertools.pairwise(ends)]
        free = [_spread(values[part], weights[part]) for part in parts]
        pinned = [float(np.sum(weights[part] * values[part] ** 2)) for part in parts]
        if keep_zero:
            best = min(best, *(sum(free) - f + p for f, p in zip(free, pinned, strict=True)))
        else:
            best = min(best, sum(free))
    return best


def _spread(values, weights):
    if not weights.sum():
        return 0.0
    return float(np.sum(weights * (values - np.average(values, weights=weights)) ** 2))


@pytest.mark.parametrize("keep_zero", [False, True])
@pytest.mark.parametrize("num_bits", [1, 2])
def test_kmeans_finds_the_best_of_all_divisions(num_bits, keep_zero):
    rng = np.random.default_rng(num_bits)
    for _ in range(8):
        values, weights = rng.normal(0.4, 1.0, 9), rng.uniform(0.1, 3.0, 9)
        levels = fit_codebook(values, one(values), num_bits, weights=weights, keep_zero=keep_zero)
        best = least_error(values, 2**num_bits, weights, keep_zero=keep_zero)
        assert squared_error(values, levels, weights) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("num_bits", [2, 4])
def test_kmeans_is_as_good_as_scikit_learns(num_bits):
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(size=300), rng.standard_t(2, 100)])  # outliers
    weights = rng.uniform(0.0, 2.0, values.size)
    reference = KMeans(2**num_bits, n_init=10, random_state=0)
    reference.fit(values[:, None], sample_weight=weights)
    levels = fit_codebook(values, one(values), num_bits, weights=weights)
    assert squared_error(values, levels, weights) <= reference.inertia_ * 1.001


def test_values_are_put_into_cells_where_there_are_many(monkeypatch):
    values = np.random.default_rng(1).normal(size=2000)
    exact = squared_error(values, fit_codebook(values, one(values), 3))
    monkeypatch.setattr(codebook, "MAX_CELLS", 40)
    assert squared_error(values, fit_codebook(values, one(values), 3)) <= exact * 1.01


def test_twice_the_levels_leave_about_a_quarter_of_the_error():
    values = np.random.default_rng(2).normal(size=3000)
    errors = [squared_error(values, fit_codebook(values, one(values), n)) for n in (4, 5, 6, 7)]
    assert all(0.2 < fewer / more < 0.3 for more, fewer in itertools.pairwise(errors))


def test_quantiles_have_as_many_values_each():
    values = np.random.default_rng(0).permutation(np.arange(400.0) ** 2)
    levels = fit_codebook(values, one(values), 2, style="quantile")
    np.testing.assert_allclose(levels, [[49**2, 149**2, 249**2, 349**2]])
    counts = np.where(values < 100**2, 0.0, 1.0)  # the smallest 100 count nothing
    levels = fit_codebook(values, one(values), 2, style="quantile", weights=counts)
    np.testing.assert_allclose(levels, [[137**2, 212**2, 287**2, 362**2]])


def test_uniform_levels_have_equal_steps():
    values = np.array([-1.0, 0.3, 0.1, 0.2, 2.0, 0.7])
    levels = fit_codebook(values, one(values), 2, style="uniform")
    np.testing.assert_allclose(levels, [[-1.0, 0.0, 1.0, 2.0]])
    shifted = fit_codebook(values + 0.25, one(values), 2, style="uniform", keep_zero=True)
    np.testing.assert_allclose(shifted, [[-1.0, 0.0, 1.0, 2.0]])


@settings(max_examples=150, deadline=None)
@given(grouped(), st.integers(1, 8), st.sampled_from(list(STYLES)), st.booleans())
def test_every_fit_keeps_what_is_promised(data, num_bits, style, keep_zero):
    values, ids, weights = data
    levels = fit_codebook(values, ids, num_bits, style=style, weights=weights, keep_zero=keep_zero)
    assert levels.shape == (ids.max() + 1, 2**num_bits)
    assert (np.diff(levels, axis=1) >= 0).all()
    codes = nearest(values, ids, levels)
    found = levels[ids, codes]
    distances = np.abs(values[:, None] - levels[ids])
    np.testing.assert_allclose(np.abs(values - found), distances.min(axis=1), atol=1e-9)
    np.testing.assert_array_equal(levels[ids, nearest(found, ids, levels)], found)
    for group, row in enumerate(levels):
        members = (ids == group) & (weights > 0)
        if keep_zero and members.any():
            assert (row == 0.0).any()
        different = np.unique(values[members])
        if 0 < different.size <= 2**num_bits - keep_zero:
            np.testing.assert_array_equal(found[members], values[members])
        if members.any():  # no level strays out of the range
            least, most = values[members].min(), values[members].max()
            slack = 1e-6 + (most - least) / (2**num_bits - 1) * (style == "uniform" and keep_zero)
            assert row[0] >= min(least, 0.0 if keep_zero else least) - slack
            assert row[-1] <= max(most, 0.0 if keep_zero else most) + slack


@settings(max_examples=60, deadline=None)
@given(grouped(), st.sampled_from([False, True]))
def test_kmeans_is_never_worse_than_the_other_styles(data, keep_zero):
    values, ids, weights = data

    def error(style):
        levels = fit_codebook(values, ids, 2, style=style, weights=weights, keep_zero=keep_zero)
        return np.sum(weights * (values - levels[ids, nearest(values, ids, levels)]) ** 2)

    scale = 1e-9 * (1.0 + np.sum(weights * values**2))
    assert error("kmeans") <= min(error("quantile"), error("uniform")) + scale


def test_groups_have_nothing_to_do_with_each_other():
    rng = np.random.default_rng(5)
    values, ids = rng.normal(size=(30, 4)), np.arange(4) * np.ones((30, 1), int)
    together = fit_codebook(values, ids, 3)
    for group in range(4):
        alone = fit_codebook(values[:, group], one(values[:, group]), 3)
        np.testing.assert_array_equal(together[group], alone[0])


def test_a_group_without_values_has_zeros():
    levels = fit_codebook(np.array([1.0, 2.0]), np.array([0, 2]), 1)
    np.testing.assert_array_equal(levels, [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]])


def test_codes_are_the_same_in_training():
    rng = np.random.default_rng(6)
    levels = np.sort(rng.normal(size=(3, 8)), axis=1).astype(np.float32)
    ids = rng.integers(0, 3, (5, 7))
    values = rng.normal(size=(5, 7)).astype(np.float32)
    np.testing.assert_array_equal(
        np.asarray(nearest(keras.ops.convert_to_tensor(values), ids, levels, keras.ops)),
        nearest(values, ids, levels),
    )


@pytest.mark.parametrize("num_levels", [1, 2, 3, 5, 8, 256])
def test_bisection_finds_the_nearest_of_any_number_of_levels(num_levels):
    rng = np.random.default_rng(num_levels)
    levels = np.sort(rng.normal(size=(2, num_levels)), axis=1)
    values, ids = rng.normal(size=50), rng.integers(0, 2, 50)
    expected = [int(np.argmin(np.abs(v - levels[g]))) for v, g in zip(values, ids, strict=True)]
    np.testing.assert_array_equal(nearest(values, ids, levels), expected)


@settings(max_examples=40, deadline=None)
@given(grouped())
def test_sums_over_clusters_are_those_of_a_loop(data):
    values, ids, _ = data
    codes = np.arange(values.size) % 4
    expected = np.zeros((ids.max() + 1, 4))
    for value, group, code in zip(values, ids, codes, strict=True):
        expected[group, code] += value
    np.testing.assert_allclose(
        cluster_sums(values, ids, codes, expected.shape), expected, atol=1e-9
    )


def test_a_codebooks_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(7)
    levels, ids = rng.normal(size=(2, 4)), rng.integers(0, 2, 20)
    codes, factor = rng.integers(0, 4, 20), rng.normal(size=20)

    def loss(levels):
        return np.sum(np.sin(factor * levels[ids, codes]))

    kernel_gradient = factor * np.cos(factor * levels[ids, codes])
    expected = np.zeros_like(levels)
    for place in np.ndindex(levels.shape):
        step = np.zeros_like(levels)
        step[place] = 1e-6
        expected[place] = (loss(levels + step) - loss(levels - step)) / 2e-6
    found = cluster_sums(kernel_gradient, ids, codes, levels.shape)
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_bits": 0}, r"`num_bits` must be in \[1, 8\]\. Received: 0\."),
        ({"num_bits": 9}, r"`num_bits` must be in \[1, 8\]\. Received: 9\."),
        ({"style": "median"}, r"`style` must be one of quantile, uniform, kmeans\. Received: 'med"),
        ({"values": np.array([0.0, np.inf])}, r"`values` must be finite"),
        ({"ids": np.array([0])}, r"`ids` must be \(2,\), >= 0\. Received: \(1,\)\."),
        ({"ids": np.array([0, -1])}, r"`ids` must be \(2,\), >= 0"),
        ({"weights": np.array([-1.0, 1.0])}, r"`weights` must be \(2,\), >= 0"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    given_ = {"values": np.array([0.0, 1.0]), "ids": np.array([0, 0]), "num_bits": 2, **changed}
    with pytest.raises(ValueError, match=message):
        fit_codebook(**given_)
