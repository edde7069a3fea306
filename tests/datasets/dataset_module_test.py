"""Every module of a data set offers what the Protocol says, under the same names."""

import inspect

import pytest

from datasets import DATASETS, load_dataset
from datasets.dataset_info import DatasetInfo
from datasets.dataset_module import DatasetModule


@pytest.mark.parametrize("name", DATASETS)
def test_modules_offer_it(name):
    module = load_dataset(name)
    assert isinstance(module.INFO, DatasetInfo)
    for function in ("load", "build"):
        wanted = list(inspect.signature(getattr(DatasetModule, function)).parameters)[1:]
        assert (
            list(inspect.signature(getattr(module, function)).parameters)[: len(wanted)] == wanted
        )
