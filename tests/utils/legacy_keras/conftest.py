"""Real data for the tests that need it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import real_data


@pytest.fixture
def cifar10_folder() -> Path:
    try:
        return real_data.cifar10_dir()
    except real_data.DataUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def real_file() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        try:
            return real_data.data_file(name)
        except real_data.DataUnavailableError as error:
            pytest.skip(str(error))

    return find


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)
