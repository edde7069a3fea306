"""Ranges from samples."""

import numpy as np
import pytest

from utils.quantization.calibration import METHODS, Statistics
from utils.quantization.grid import Grid, Range, rounded, scale

_RNG = np.random.default_rng(0)
_SKEWED = np.concatenate([np.maximum(_RNG.normal(size=20000), 0.0), [9.0]])


def _seen(values: np.ndarray, num_batches: int = 5) -> Statistics:
    statistics = Statistics()
    for batch in np.array_split(values, num_batches):
        statistics.add(batch)
    return statistics


def _error(values: np.ndarray, found: Range, grid: Grid) -> float:
    chosen = scale(found, grid)
    return float(
        np.mean((values - rounded(values, chosen.scale[0], chosen.zero_point[0], grid)) ** 2)
    )


def test_minmax_is_what_was_seen_and_holds_zero() -> None:
    found = _seen(np.array([1.0, 5.0, 2.0])).range("minmax")
    assert (found.least[0], found.greatest[0]) == (0.0, 5.0)


def test_moving_averages_are_those_of_the_batches() -> None:
    statistics = Statistics(decay=0.5)
    for low, high in ((-1.0, 2.0), (-3.0, 6.0)):
        statistics.add(np.array([low, high]))
    found = statistics.range("moving")
    assert (found.least[0], found.greatest[0]) == (-2.0, 4.0)


@pytest.mark.parametrize("percentile", [99.0, 99.9])
def test_percentile_leaves_out_as_much_at_either_end(percentile: float) -> None:
    values = _RNG.normal(size=50000)
    found = _seen(values).range("percentile", percentile=percentile)
    share = len(values) * (100 - percentile) / 200
    beyond = (np.sum(values < found.least[0]), np.sum(values > found.greatest[0]))
    np.testing.assert_allclose(beyond, share, atol=3)  # a bin holds a few values


@pytest.mark.parametrize("bits", [4, 8])
def test_mse_is_the_least_of_all_methods(bits: int) -> None:
    grid, statistics = Grid(bits=bits), _seen(_SKEWED)
    errors = {each: _error(_SKEWED, statistics.range(each, grid), grid) for each in METHODS}
    assert errors["mse"] <= 1.01 * min(errors.values())
    if bits == 4:
        assert errors["mse"] < 0.5 * errors["minmax"]
        assert errors["kl"] < errors["minmax"]


@pytest.mark.parametrize("num_levels", [2, 4, 17, 64, 128, 256, 512])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_kl_takes_sets_of_levels_whole(num_levels: int, sign: float) -> None:
    """Where quantization loses nothing or the same everywhere, nothing is gained by clipping."""
    values = np.tile(np.linspace(0.0, sign, num_levels, dtype=np.float32), 50)
    for bits in (4, 8):
        found = _seen(values).range("kl", Grid(bits=bits))
        assert (found.least[0], found.greatest[0]) == (min(sign, 0.0), max(sign, 0.0))


def test_kl_of_skewed_levels_is_not_the_most_frequent_alone() -> None:
    """Gray levels of digit images: most of them dark."""
    values = np.repeat(np.arange(17.0), 2 ** np.arange(17)[::-1])
    found = _seen(values).range("kl")
    assert (found.least[0], found.greatest[0]) == (0.0, 16.0)


def test_kl_still_cuts_a_far_value_off() -> None:
    values = np.concatenate([_RNG.uniform(0.0, 1.0, 100_000), [8.0]])
    found = _seen(values).range("kl", Grid(bits=4))
    assert 0.99 <= found.greatest[0] < 8.0


@pytest.mark.parametrize("method", METHODS)
def test_ranges_stay_inside_what_was_seen(method: str) -> None:
    for values in (_SKEWED, -_SKEWED, np.zeros(5), np.full(5, 3.0), _RNG.normal(size=500)):
        found = _seen(values).range(method)  # type: ignore[arg-type]
        assert min(0.0, values.min()) - 1e-9 <= found.least[0] <= 0.0
        assert 0.0 <= found.greatest[0] <= max(0.0, values.max()) + 1e-9


def test_channels_have_ranges_of_their_own() -> None:
    statistics = Statistics(3)
    values = _RNG.normal(size=(40, 4, 3)) * [1.0, 10.0, 0.0]
    statistics.add(values)
    for method in METHODS:
        found = statistics.range(method)
        for channel in range(3):
            alone = _seen(values[..., channel], 1).range(method)
            assert found.greatest[channel] == alone.greatest[0]
    np.testing.assert_allclose(statistics.mean, values.mean(axis=(0, 1)))


def test_what_cannot_be_is_refused() -> None:
    statistics = Statistics(with_histogram=False)
    with pytest.raises(ValueError, match="no values"):
        statistics.range("minmax")
    with pytest.raises(ValueError, match="NaN or infinity"):
        statistics.add(np.array([0.0, np.nan]))
    statistics.add(np.ones(3))
    with pytest.raises(ValueError, match="needs a histogram"):
        statistics.range("mse")
    with pytest.raises(ValueError, match="must be one of"):
        statistics.range("best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 groups"):
        Statistics(2).add(np.ones((4, 3)))
