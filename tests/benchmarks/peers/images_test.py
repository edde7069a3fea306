"""The peer's images: read as ours are, moved by (seed, epoch, image) alone."""

import numpy as np
import pytest

from benchmarks.peers.images import (
    MEAN,
    NUM_HELD_OUT,
    PADDING,
    STD,
    Images,
    epoch_draws,
    load,
    padded,
    places,
    read_batch,
)
from datasets import cifar10_dataset


def a_batch(folder, name, num_records=3):
    raw = np.random.default_rng(len(name)).integers(0, 256, (num_records, 3073), dtype=np.uint8)
    raw[:, 0] %= 10
    raw.tofile(folder / name)
    return folder / name


def test_batches_are_read_as_ours(tmp_path):
    path = a_batch(tmp_path, "test_batch.bin")
    for found, ours in zip(read_batch(path), cifar10_dataset.read_batch(path), strict=True):
        np.testing.assert_array_equal(found, ours)


def test_facts_are_those_of_ours():
    info = cifar10_dataset.INFO
    assert (info.mean, info.std, info.crop_padding) == (MEAN, STD, PADDING)


def test_the_splits_are_the_files_in_order(tmp_path):
    names = [f"data_batch_{number}.bin" for number in range(1, 6)]
    for name in [*names, "test_batch.bin"]:
        a_batch(tmp_path, name)
    found = load(tmp_path)
    assert found.train.shape == (15, 32, 32, 3) and found.test.shape == (3, 32, 32, 3)
    np.testing.assert_array_equal(found.train[3:6], read_batch(tmp_path / names[1])[0])


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "half.bin").write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match=r"3073 bytes\. Received: 100 bytes"):
        read_batch(tmp_path / "half.bin")


def test_held_out_images_are_not_trained_on():
    number = NUM_HELD_OUT + 7
    images = np.arange(number, dtype=np.int64)[:, None, None, None]
    data = Images(images, np.arange(number), images[:0], np.arange(0))
    parts = [data.held_out(seed) for seed in (0, 0, 1)]
    assert len(parts[0].train) == 7 and len(parts[0].test) == NUM_HELD_OUT
    together = np.concatenate([parts[0].train_labels, parts[0].test_labels])
    np.testing.assert_array_equal(np.sort(together), np.arange(number))
    np.testing.assert_array_equal(parts[0].test, parts[1].test)
    assert not np.array_equal(parts[0].test, parts[2].test)


def test_an_epoch_is_a_function_of_seed_and_epoch():
    first, again, other = (epoch_draws(50, seed=3, epoch=epoch) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(np.sort(first[0]), np.arange(50))
    moves = np.concatenate([epoch_draws(500, seed=0, epoch=epoch)[1] for epoch in range(4)])
    assert moves[:, :2].min() == 0 and moves[:, :2].max() == 2 * PADDING
    assert 0.4 < moves[:, 2].mean() < 0.6


def test_moves_are_crops_of_the_padded_image_and_mirrors():
    images = np.random.default_rng(0).integers(1, 255, (2, 32, 32, 3), dtype=np.uint8)
    rows, columns = places(np.array([[0, 4, 0], [4, 7, 1]]))
    moved = padded(images)[np.arange(2)[:, None, None], rows[:, :, None], columns[:, None, :]]
    np.testing.assert_array_equal(moved[0, 4:], images[0, :-4])  # moved down by the padding
    assert not moved[0, :4].any()
    np.testing.assert_array_equal(moved[1, :, 3:], images[1, :, 3:][:, ::-1])  # left by 3, mirrored
    assert not moved[1, :, :3].any()
