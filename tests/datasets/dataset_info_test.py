import pytest

from datasets import DATASETS, load_dataset
from datasets.config import DataConfig
from datasets.dataset_info import DatasetInfo


@pytest.mark.parametrize("name", DATASETS)
def test_every_module_offers_the_same(name):
    module = load_dataset(name)
    assert isinstance(module.INFO, DatasetInfo)
    assert module.INFO.name == name
    channels = module.INFO.image_shape[-1]
    assert len(module.INFO.mean) == len(module.INFO.std) == channels
    assert len(set(module.INFO.class_names)) == module.INFO.num_classes
    assert callable(module.load)
    assert callable(module.build)


def test_facts_are_not_flags():
    fields = {field for field in DatasetInfo.__dataclass_fields__}
    assert not fields & set(DataConfig.__dataclass_fields__)
