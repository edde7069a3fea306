import numpy as np
import pytest

from datasets import fmnist_dataset
from datasets.config import DataConfig
from datasets.pipeline import BatchPlan
from utils.errors import InputError


def test_real_files(real_file):
    config = DataConfig(data_dir_local=str(real_file("fashion_mnist")))
    arrays, info = fmnist_dataset.load(config), fmnist_dataset.INFO
    assert arrays.train_images.shape == (info.num_train, *info.image_shape)
    assert len(np.unique(arrays.train_labels)) == info.num_classes
    pixels = arrays.train_images / info.max_value
    assert pixels.mean() == pytest.approx(info.mean[0], abs=1e-3)
    assert pixels.std() == pytest.approx(info.std[0], abs=1e-3)
    _, labels = next(iter(fmnist_dataset.build("test", config, BatchPlan(batch_size=4))))
    assert labels.numpy().tolist() == [9, 2, 1, 1]


def test_missing_files_are_named(tmp_path):
    with pytest.raises(
        InputError, match=r"Fashion-MNIST: train-images-idx3-ubyte.gz, .* not found"
    ):
        fmnist_dataset.load(DataConfig(data_dir_local=str(tmp_path)))
