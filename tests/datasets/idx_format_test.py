import dataclasses
import gzip
import struct

import numpy as np
import pytest

from datasets import mnist_dataset
from datasets.idx_format import FILES, read_folder, read_idx
from utils.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 4), dtype=np.uint8)


def pack(array, dims=None):
    dims = array.shape if dims is None else dims
    return struct.pack(f">{1 + len(dims)}I", 0x0800 + len(dims), *dims) + array.tobytes()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(pack(IMAGES)))
    return path


def test_round_trip(file):
    assert np.array_equal(read_idx(file, IMAGES.shape), IMAGES)


def test_truncated_file_names_the_byte(file):
    data = file.read_bytes()
    file.write_bytes(data[:-30])
    with pytest.raises(InputError, match=rf"images.gz: truncated at byte {len(data) - 30}: "):
        read_idx(file, IMAGES.shape)


def test_flipped_bit_fails_the_checksum(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 16
    file.write_bytes(data)
    with pytest.raises(InputError, match=rf"corrupted between bytes 0 and {len(data)}: "):
        read_idx(file, IMAGES.shape)


def test_not_gzip(file):
    file.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"corrupted between bytes 0 and 14: .*header"):
        read_idx(file, IMAGES.shape)


def test_another_shape(file):
    with pytest.raises(InputError, match=r"wrong header at unpacked byte 7: expected .*\(41, 5, 4"):
        read_idx(file, (41, 5, 4))


def test_header_promises_more_than_there_is(file):
    file.write_bytes(gzip.compress(pack(IMAGES[:-1], dims=IMAGES.shape)))
    with pytest.raises(InputError, match=r"truncated at unpacked byte 796: .* takes 816 bytes"):
        read_idx(file, IMAGES.shape)


def test_a_bomb_is_not_unpacked(file):
    file.write_bytes(gzip.compress(pack(IMAGES) + bytes(200_000_000), compresslevel=1))
    with pytest.raises(InputError, match="too long from unpacked byte 816"):
        read_idx(file, IMAGES.shape)


@pytest.fixture
def small(tmp_path):
    """A data set of 3 + 2 images, and a function that writes its labels."""
    info = dataclasses.replace(
        mnist_dataset.INFO, num_train=3, num_test=2, image_shape=(5, 4, 1), num_classes=4
    )

    def write(train_labels):
        parts = (IMAGES[:3], np.uint8(train_labels), IMAGES[3:5], np.uint8([0, 1]))
        for name, part in zip(FILES, parts, strict=True):
            (tmp_path / name).write_bytes(gzip.compress(pack(part)))
        return tmp_path, info

    return write


def test_folder(small):
    arrays = read_folder(*small([3, 2, 0]))
    assert np.array_equal(arrays.train_images[..., 0], IMAGES[:3])
    assert np.array_equal(arrays.test_images[..., 0], IMAGES[3:5])
    assert arrays.train_labels.tolist() == [3, 2, 0]
    assert arrays.train_labels.dtype == np.int32


def test_label_out_of_range(small):
    message = r"train-labels.*: the label of record 1 \(counted from 0, unpacked byte 9\) must be "
    with pytest.raises(InputError, match=message + r"in 0..3. Received: 4"):
        read_folder(*small([3, 4, 9]))
