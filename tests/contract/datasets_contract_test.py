"""What every data set must do: one row each."""

import numpy as np
import pytest

from benchmarks import real_data
from datasets import DATASETS, load_dataset
from datasets.config import DataConfig
from datasets.pipeline import BatchPlan
from utils.errors import InputError

pytestmark = pytest.mark.parametrize("name", DATASETS)
PLAN = BatchPlan(batch_size=16, seed=5, num_samples=20)


# Where the files of a data set lie, if not where $FLOWPRESS_DATA says.
FOLDERS = {"cifar10": real_data.cifar10_dir}


@pytest.fixture
def loaded(name):
    """The module, where its files are and its arrays; without files there is nothing to test."""
    module = load_dataset(name)
    try:
        folder = FOLDERS[name]() if name in FOLDERS else None
        config = DataConfig(data_dir_local=folder and str(folder))
        return module, config, module.load(config)
    except (InputError, real_data.DataUnavailableError) as error:
        pytest.skip(str(error))


def test_facts(name):
    info = load_dataset(name).INFO
    assert info.name == name
    assert DATASETS[name] == f"datasets.{name}_dataset"
    assert len(info.mean) == len(info.std) == info.image_shape[-1]
    assert min(info.num_classes, info.num_train, info.num_test) > 1
    assert bool(info.files) == bool(info.folder) == bool(info.source)


def test_arrays_are_as_the_facts_say(loaded):
    module, _, arrays = loaded
    info = module.INFO
    assert arrays.train_images.shape == (info.num_train, *info.image_shape)
    assert arrays.test_images.shape == (info.num_test, *info.image_shape)
    for images, labels in (arrays[:2], arrays[2:]):
        assert len(images) == len(labels)
        assert labels.dtype == np.int32
        assert set(np.unique(labels)) == set(range(info.num_classes))


@pytest.mark.parametrize("split", ["train", "test", "calibration", "val"])
def test_batches(split, loaded):
    module, config, arrays = loaded
    plan = BatchPlan(batch_size=16, seed=5, num_samples=20, val_fraction=0.1)
    dataset = module.build(split, config, plan)
    images, labels = next(iter(dataset))
    assert images.shape == (16, *module.INFO.image_shape)
    assert (images.dtype, labels.dtype) == ("float32", "int32")
    assert np.isfinite(images).all()
    if split == "test":
        np.testing.assert_array_equal(labels, arrays.test_labels[:16])
        assert int(dataset.cardinality()) == -(-module.INFO.num_test // 16)


def test_a_training_batch_depends_on_seed_and_step_alone(loaded):
    module, config, _ = loaded

    def batch(first_step, seed=5):
        plan = BatchPlan(batch_size=16, seed=seed, first_step=first_step)
        return next(iter(module.build("train", config, plan)))

    images, labels = next(iter(module.build("train", config, PLAN).skip(3)))
    for one, other in zip(batch(3), (images, labels), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(batch(3, seed=6)[0], images)
