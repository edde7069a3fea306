"""Tests that start several workers; `make test-distributed` installs Horovod and runs them."""

import importlib.util
import os
import pathlib
import shutil

import pytest

FOLDER = pathlib.Path(__file__).parent
SECONDS = 1800  # of one test: some start ten runs, and workers share few cores


def _reason():
    if importlib.util.find_spec("horovod") is None:
        return "needs Horovod: scripts/install_horovod.sh, or make test-distributed"
    if "PYTEST_XDIST_WORKER" in os.environ:
        return "needs the cores for its workers: make test-distributed"
    if (os.cpu_count() or 1) < 2:
        return "needs 2 cores"
    if shutil.which("bash") is None:
        return "needs bash"
    return ""


def pytest_collection_modifyitems(items):
    reason = _reason()
    for item in items:
        if FOLDER not in item.path.parents:
            continue
        item.add_marker(pytest.mark.timeout(SECONDS))
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
