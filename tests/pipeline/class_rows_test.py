import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.class_rows import MAX_CLASSES, class_rows
from utils.export.hits import Choices

CLASSES = arrays.arrays(np.int64, 30, elements=st.integers(0, 4))


@given(CLASSES, CLASSES, CLASSES)
def test_rows_are_counted_sample_by_sample(labels, before, after):
    rows = class_rows(Choices(labels, before), Choices(labels, after))
    assert [row.label for row in rows] == sorted(set(labels.tolist()))
    for row in rows:
        own = [k for k in range(30) if labels[k] == row.label]
        lost = [k for k in own if before[k] == row.label != after[k]]
        assert row.num_samples == len(own)
        assert row.right_before == sum(before[k] == row.label for k in own)
        assert row.right_after == row.right_before - row.lost + row.gained
        assert row.lost == len(lost)
        counts = np.bincount(after[lost], minlength=5)
        assert (row.taken_for is None) == (not lost)
        if lost:
            assert counts[row.taken_for] == counts.max()


def test_nothing_is_said_of_other_samples_or_of_none():
    one, two = (Choices(np.array(labels), np.array([0, 0])) for labels in ([0, 1], [1, 0]))
    assert class_rows(one, two) == ()
    assert class_rows(None, one) == ()
    assert class_rows(one, None) == ()


def test_more_classes_than_anyone_reads():
    labels = np.arange(MAX_CLASSES + 1)
    assert class_rows(Choices(labels, labels), Choices(labels, labels)) == ()
