import dataclasses
import itertools

import numpy as np
import pytest

from datasets import cifar10_dataset, digits_dataset, pipeline
from datasets.config import DataConfig
from datasets.dataset_info import Arrays
from datasets.pipeline import BatchPlan
from utils.errors import InputError

CONFIG = DataConfig()
PLAIN = dataclasses.replace(digits_dataset.INFO, crop_padding=0)
AUGMENTED = dataclasses.replace(digits_dataset.INFO, crop_padding=2, flip=True)
NUM = 70


@pytest.fixture(scope="module")
def arrays():
    """Every image is all one value, its index; the label is the index as well."""
    indices = np.arange(NUM, dtype=np.uint8)
    images = np.broadcast_to(indices[:, None, None, None], (NUM, 8, 8, 1)).copy()
    return Arrays(images, indices.astype(np.int32), images[:25], indices[:25].astype(np.int32))


def take(dataset, count):
    return [(i.numpy(), k.numpy()) for i, k in itertools.islice(dataset, count)]


def equal(one, two):
    return all(
        np.array_equal(a, b)
        for x, y in zip(one, two, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def train(arrays, info=AUGMENTED, **plan):
    return pipeline.build("train", arrays, info, CONFIG, BatchPlan(batch_size=16, **plan))


def test_an_epoch_is_a_permutation_without_its_remainder(arrays):
    batches = take(train(arrays, PLAIN), 8)  # 4 batches per epoch
    epochs = [np.concatenate([k for _, k in batches[start : start + 4]]) for start in (0, 4)]
    for labels in epochs:
        assert len(set(labels.tolist())) == 64
    assert set(epochs[0].tolist()) != set(epochs[1].tolist())  # another remainder is left out
    images, labels = batches[0]
    raw = np.rint((images[:, 0, 0, 0] * PLAIN.std[0] + PLAIN.mean[0]) * PLAIN.max_value)
    assert raw.tolist() == labels.tolist()


def test_same_seed_same_pixels_other_seed_others(arrays):
    assert equal(take(train(arrays, seed=5), 6), take(train(arrays, seed=5), 6))
    assert not equal(take(train(arrays, seed=5), 1), take(train(arrays, seed=6), 1))


@pytest.mark.parametrize("first_step", [0, 3, 4, 1001])
def test_starts_at_any_step(arrays, first_step):
    ahead = take(train(arrays, first_step=first_step), 3)
    assert equal(ahead[1:], take(train(arrays, first_step=first_step + 1), 2))


def test_two_workers_of_8_are_one_of_16(arrays):
    whole = take(train(arrays, seed=2), 9)
    parts = [
        take(
            pipeline.build(
                "train",
                arrays,
                AUGMENTED,
                CONFIG,
                BatchPlan(batch_size=8, seed=2, worker=(rank, 2)),
            ),
            9,
        )
        for rank in (0, 1)
    ]
    joined = [
        tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))
        for first, second in zip(*parts, strict=True)
    ]
    assert equal(whole, joined)


def test_validation_part_is_held_out_of_training_only(arrays):
    plan = {"val_fraction": 0.2, "seed": 1}
    arrays = arrays._replace(train_labels=np.arange(NUM, dtype=np.int32) % 7)
    held_out = pipeline.build("val", arrays, PLAIN, CONFIG, BatchPlan(batch_size=10, **plan))
    values = {v for images, _ in held_out for v in images.numpy()[:, 0, 0, 0].tolist()}
    assert len(values) == 14
    trained = {
        v
        for images, _ in take(train(arrays, PLAIN, **plan), 12)
        for v in images[:, 0, 0, 0].tolist()
    }
    assert len(trained) == 56
    assert not trained & values


def test_calibration_images_are_seeded_and_not_augmented(arrays):
    def values(seed):
        plan = BatchPlan(batch_size=4, num_samples=10, seed=seed)
        batches = take(pipeline.build("calibration", arrays, AUGMENTED, CONFIG, plan), 9)
        assert [len(labels) for _, labels in batches] == [4, 4, 2]
        for images, _ in batches:
            assert np.all(images == images[:, :1, :1])  # a crop would bring in zeros
        return np.concatenate([labels for _, labels in batches]).tolist()

    assert values(0) == values(0)
    assert values(0) != values(1)


def test_evaluation_is_in_order_and_complete(arrays):
    batches = take(pipeline.build("test", arrays, AUGMENTED, CONFIG, BatchPlan(batch_size=10)), 9)
    assert np.concatenate([labels for _, labels in batches]).tolist() == list(range(25))


def test_crop_and_mirror_against_slicing():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (50, 6, 5, 3), dtype=np.uint8)
    draws = generator.random((50, 3), dtype=np.float32)
    result = pipeline.augment(images, draws, padding=2, flip=True).numpy()
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for image, source, (row, column, mirror) in zip(result, padded, draws, strict=True):
        top, left = int(row * 5), int(column * 5)
        crop = source[top : top + 6, left : left + 5]
        assert np.array_equal(image, crop[:, ::-1] if mirror >= 0.5 else crop)


def test_normalization_is_per_channel():
    images = np.array([[[[255, 0, 51]]]], dtype=np.uint8)
    info = cifar10_dataset.INFO
    expected = (np.array([1.0, 0.0, 0.2]) - info.mean) / info.std
    assert pipeline.normalize(images, info).numpy()[0, 0, 0] == pytest.approx(expected, abs=1e-6)


def test_batch_larger_than_the_data(arrays):
    with pytest.raises(InputError, match=r"at most the 70 training images. Received: 36 \* 2"):
        pipeline.build("train", arrays, PLAIN, CONFIG, BatchPlan(batch_size=36, worker=(0, 2)))


def test_unknown_split(arrays):
    with pytest.raises(ValueError, match=r"`split` must be 'train', .* Received: split='dev'"):
        pipeline.build("dev", arrays, PLAIN, CONFIG, BatchPlan(batch_size=1))
