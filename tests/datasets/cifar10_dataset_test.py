import numpy as np
import pytest

from datasets import cifar10_dataset
from datasets.config import DataConfig
from datasets.pipeline import BatchPlan
from utils.errors import InputError


def records(num, seed=0):
    data = np.random.default_rng(seed).integers(0, 256, (num, 3073), dtype=np.uint8)
    data[:, 0] %= 10
    return data


def test_planes_become_channels(tmp_path):
    data = records(4)
    data.tofile(tmp_path / "b.bin")
    images, labels = cifar10_dataset.read_batch(tmp_path / "b.bin")
    assert labels.tolist() == data[:, 0].tolist()
    assert images.shape == (4, 32, 32, 3)
    assert images[2, 5, 7].tolist() == [
        data[2, 1 + plane * 1024 + 5 * 32 + 7] for plane in range(3)
    ]


def test_incomplete_record_is_named(tmp_path):
    records(4).ravel()[:-100].tofile(tmp_path / "b.bin")
    with pytest.raises(InputError, match=r"b.bin: truncated at byte 12192: record 3 .* incomplete"):
        cifar10_dataset.read_batch(tmp_path / "b.bin")


def test_label_out_of_range_is_named(tmp_path):
    data = records(4)
    data[2, 0] = 10
    data.tofile(tmp_path / "b.bin")
    message = r"corrupted at byte 6146: the label of record 2 must be in 0..9. Received: 10."
    with pytest.raises(InputError, match=message):
        cifar10_dataset.read_batch(tmp_path / "b.bin")


def test_truncated_file_is_found_by_its_size(tmp_path):
    for name, _ in cifar10_dataset.INFO.files:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"data_batch_1.bin: truncated at byte 0: .* 30730000"):
        cifar10_dataset.load(DataConfig(data_dir_local=str(tmp_path)))


def test_real_files(cifar10_folder):
    config = DataConfig(data_dir_local=str(cifar10_folder))
    arrays = cifar10_dataset.load(config)
    info = cifar10_dataset.INFO
    assert arrays.train_images.shape == (info.num_train, *info.image_shape)
    assert np.bincount(arrays.test_labels).tolist() == [info.num_test // 10] * 10
    assert cifar10_dataset.load(config).train_images is arrays.train_images
    images, labels = next(iter(cifar10_dataset.build("test", config, BatchPlan(batch_size=3))))
    assert labels.numpy().tolist() == [3, 8, 8]  # cat, ship, ship
    assert images.shape == (3, 32, 32, 3)
