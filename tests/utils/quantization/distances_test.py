"""Distances of tensors, and advice."""

import math

import numpy as np

from utils.quantization.distances import Distance, Sums, advice


def test_sums_over_batches_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    signal, noise = rng.normal(size=(2, 5, 7))
    sums = Sums()
    for a, b in zip(signal, signal + 0.1 * noise, strict=True):
        sums.add(a, b)
    found = sums.result()
    expected = 0.1 * np.linalg.norm(noise) / np.linalg.norm(signal)
    assert math.isclose(found.distance, expected)
    assert math.isclose(found.sqnr, -20 * math.log10(expected))
    assert 0.9 < found.cosine < 1.0


def test_zeros_are_as_near_as_can_be_or_infinitely_far() -> None:
    same, other = Sums(), Sums()
    same.add(np.zeros(3), np.zeros(3))
    other.add(np.zeros(3), np.ones(3))
    assert same.result() == Distance(distance=0.0, sqnr=math.inf, cosine=1.0)
    assert other.result() == Distance(distance=math.inf, sqnr=-math.inf, cosine=0.0)


def test_advice_follows_from_where_the_error_is() -> None:
    fine, fair, bad = (Distance(distance=0.0, sqnr=sqnr, cosine=1.0) for sqnr in (40, 30, 10))
    assert "grid is too coarse" in advice(bad, bad)
    assert "layers before" in advice(fine, fair)
    assert "--rounding=obq" in advice(fair, fair)
