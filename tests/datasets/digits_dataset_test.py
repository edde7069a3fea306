import numpy as np

from datasets import digits_dataset
from datasets.config import DataConfig
from datasets.pipeline import BatchPlan


def test_facts_are_true():
    arrays, info = digits_dataset.load(DataConfig()), digits_dataset.INFO
    assert arrays.train_images.shape == (info.num_train, *info.image_shape)
    assert arrays.test_images.shape == (info.num_test, *info.image_shape)
    pixels = arrays.train_images / info.max_value
    assert pixels.max() == 1.0
    assert (round(pixels.mean(), 4), round(pixels.std(), 4)) == (info.mean[0], info.std[0])


def test_split_is_stratified_and_always_the_same():
    arrays = digits_dataset.load(DataConfig())
    assert np.bincount(arrays.test_labels).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert (
        arrays.test_labels[:8].tolist()
        == digits_dataset.load(DataConfig()).test_labels[:8].tolist()
    )


def test_build():
    batches = list(digits_dataset.build("test", DataConfig(), BatchPlan(batch_size=100)))
    assert [len(labels) for _, labels in batches] == [100, 100, 100, 59]
