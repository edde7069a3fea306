"""Who speaks when workers fail."""

import pytest

from utils import one_voice as module
from utils.command import notes, out
from utils.errors import InputError
from utils.one_voice import is_loss, one_voice
from utils.stopping import Terminated

LOST = RuntimeError("Horovod has been shut down. This was caused by an exception on one of the …")


@pytest.fixture
def slept(monkeypatch):
    found = []
    monkeypatch.setattr(module.time, "sleep", found.append)
    yield found
    notes.quiet = out.quiet = False


@pytest.fixture
def worker(monkeypatch):
    def set_rank(rank, size=2):
        monkeypatch.setenv("HOROVOD_RANK", str(rank))
        monkeypatch.setenv("HOROVOD_SIZE", str(size))

    return set_rank


@pytest.mark.parametrize(("rank", "is_quiet"), [(0, False), (1, True)])
def test_worker_0_speaks(worker, slept, rank, is_quiet):
    worker(rank)
    with one_voice():
        assert (notes.quiet, out.quiet) == (is_quiet, is_quiet)
    assert not notes.quiet
    assert slept == []


def test_another_worker_waits_to_be_ended_before_it_speaks(worker, slept):
    worker(1)
    with pytest.raises(InputError, match="own trouble"), one_voice():
        raise InputError("own trouble")
    assert slept == [module.PATIENCE]
    assert not notes.quiet


def test_worker_0_speaks_at_once(worker, slept):
    worker(0)
    with pytest.raises(InputError, match="own trouble"), one_voice():
        raise InputError("own trouble")
    assert slept == []


def test_a_lost_worker_is_told_once_nobody_else_did(worker, slept):
    worker(0)
    with pytest.raises(InputError, match=r"^worker 0: another worker has stopped"), one_voice():
        raise LOST
    assert slept == [module.PATIENCE]


def test_others_end_in_silence(worker, slept):
    worker(1)
    with pytest.raises(Terminated) as stop, one_voice():
        raise Terminated
    assert stop.value.told
    assert notes.quiet


def test_alone_nothing_changes(monkeypatch, slept):
    monkeypatch.delenv("HOROVOD_SIZE", raising=False)
    with pytest.raises(RuntimeError, match="shut down"), one_voice():
        raise LOST
    assert slept == []


def test_a_loss_is_found_behind_other_errors():
    wrapped = InputError("x")
    wrapped.__cause__ = LOST
    assert is_loss(wrapped)
    assert not is_loss(InputError("Horovod is not installed"))
    assert not is_loss(None)
