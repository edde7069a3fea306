"""Who owns the folders of a run."""

import dataclasses

import pytest

from pipeline.folders import own_folders
from tests.learners.runs import make_run
from utils.errors import InputError
from utils.ownership import LOCK_FILE, owned


@pytest.fixture(name="plan")
def _plan(tmp_path):
    return make_run("full-prec", tmp_path / "out")[0]


def test_a_run_owns_what_it_writes_to(plan, tmp_path):
    with own_folders(plan):
        locks = {path.parent.name for path in tmp_path.rglob(LOCK_FILE)}
    assert locks == {"out", "state"}
    assert not (tmp_path / "out").exists()


def test_a_second_run_is_refused(plan, tmp_path):
    with (
        owned([tmp_path / "out"]),
        pytest.raises(InputError, match="is in use by the run of process"),
        own_folders(plan),
    ):
        pytest.fail("must not be reached")


def test_scoring_and_further_workers_own_nothing(plan, tmp_path, monkeypatch):
    run = dataclasses.replace(plan.run, exec_mode="eval")
    with own_folders(dataclasses.replace(plan, run=run)):
        assert not (tmp_path / "out").exists()
    assert not plan.run.enbl_multi_gpu  # a launcher needs no flag
    monkeypatch.setenv("HOROVOD_RANK", "1")
    with own_folders(plan):
        assert not (tmp_path / "out").exists()
    monkeypatch.setenv("HOROVOD_RANK", "0")
    with own_folders(plan):
        assert (tmp_path / "out").exists()
