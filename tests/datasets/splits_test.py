import numpy as np
import pytest

from datasets.splits import stratified_split

LABELS = np.repeat([0, 1, 2], [100, 50, 10])


def test_parts_are_disjoint_complete_and_in_proportion():
    first, second = stratified_split(LABELS, 0.2, seed=3)
    assert np.array_equal(np.sort(np.concatenate([first, second])), np.arange(160))
    assert np.bincount(LABELS[second]).tolist() == [20, 10, 2]


def test_seed_decides():
    assert np.array_equal(stratified_split(LABELS, 0.2, 1)[1], stratified_split(LABELS, 0.2, 1)[1])
    assert not np.array_equal(
        stratified_split(LABELS, 0.2, 1)[1], stratified_split(LABELS, 0.2, 2)[1]
    )


def test_every_class_keeps_a_sample():
    first, second = stratified_split(np.array([0, 1, 1]), 0.9, seed=0)
    assert np.unique(np.array([0, 1, 1])[first]).tolist() == [0, 1]
    assert len(second) == 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match=r"`fraction` must be in \(0, 1\). Received: fraction="):
        stratified_split(LABELS, fraction, seed=0)
