import importlib

import pytest

from datasets.config import DataConfig
from datasets.dataset_info import DatasetInfo

MODULES = ("cifar10", "digits", "fmnist", "fsdd", "mnist")


@pytest.mark.parametrize("name", MODULES)
def test_every_module_offers_the_same(name):
    module = importlib.import_module(f"datasets.{name}_dataset")
    assert isinstance(module.INFO, DatasetInfo)
    assert module.INFO.name == name
    channels = module.INFO.image_shape[-1]
    assert len(module.INFO.mean) == len(module.INFO.std) == channels
    assert callable(module.load)
    assert callable(module.build)


def test_facts_are_not_flags():
    fields = {field for field in DatasetInfo.__dataclass_fields__}
    assert not fields & set(DataConfig.__dataclass_fields__)
