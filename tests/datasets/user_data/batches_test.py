"""Batches of a part: order, seeds, steps, workers."""

import numpy as np
import pytest

from datasets.user_data.batches import Feed
from datasets.user_data.parts import Part, Stored

PART = Part(inputs=Stored(np.arange(23, dtype=np.uint8)[:, None], None), labels=np.arange(23))
FEED = Feed(shape=(1, 1), scaled=lambda x: 2 * x, num_threads=2, prefetch=1)


def taken(count, **plan):
    batches = FEED.training(PART, 4, **{"seed": 5, **plan}).take(count)
    return [(x.numpy(), y.numpy()) for x, y in batches]


def test_ordered_and_scaled():
    batches = [(x.numpy(), y.numpy()) for x, y in FEED.ordered(PART, 10)]
    assert [len(y) for _, y in batches] == [10, 10, 3]
    images = np.concatenate([x for x, _ in batches])
    assert images.dtype == np.float32
    assert images.shape == (23, 1, 1)
    np.testing.assert_array_equal(images.reshape(-1), 2 * np.arange(23))
    assert int(FEED.ordered(PART, 10).cardinality()) == 3


def test_an_epoch_takes_each_sample_once_and_the_next_another_order():
    labels = [y for _, y in taken(10)]
    first, second = (np.concatenate(part) for part in (labels[:5], labels[5:]))
    assert len(set(first)) == len(set(second)) == 20
    assert first.tolist() != second.tolist()
    for x, y in taken(3):
        np.testing.assert_array_equal(x.reshape(-1), 2 * y)


def test_begins_anywhere_and_depends_on_the_seed_alone():
    wanted = taken(9)[6:]
    for (x, y), (other_x, other_y) in zip(taken(3, first_step=6), wanted, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)
    assert taken(1)[0][1].tolist() != taken(1, seed=6)[0][1].tolist()


@pytest.mark.parametrize("rank", [0, 1])
def test_workers_share_a_step(rank):
    whole = [
        y for _, y in ((x.numpy(), y.numpy()) for x, y in FEED.training(PART, 8, seed=5).take(4))
    ]
    own = [y for _, y in taken(4, worker=(rank, 2))]
    for step, labels in enumerate(own):
        np.testing.assert_array_equal(labels, whole[step][4 * rank : 4 * rank + 4])
