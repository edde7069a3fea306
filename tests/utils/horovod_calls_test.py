"""What launchers tell; Horovod itself is tried by tests/distributed."""

import os
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from utils import horovod_calls
from utils.errors import InputError


@pytest.mark.parametrize(
    ("environ", "rank", "size"),
    [
        ({}, 0, 1),
        ({"HOROVOD_RANK": "3", "HOROVOD_SIZE": "8"}, 3, 8),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, 1, 2),
        ({"PMI_RANK": "0", "PMI_SIZE": "4"}, 0, 4),
        ({"HOROVOD_RANK": "", "HOROVOD_SIZE": "none"}, 0, 1),
    ],
)
def test_the_launcher_is_read(environ, rank, size):
    assert horovod_calls.launched_rank(environ) == rank
    assert horovod_calls.launched_size(environ) == size


def test_processes_that_do_not_find_each_other_are_refused(monkeypatch):
    """As under mpirun, with a Horovod that was built without MPI: two runs would write one file."""
    package, module = types.ModuleType("horovod"), types.ModuleType("horovod.tensorflow")
    module.init, module.size = lambda: None, lambda: 1
    package.tensorflow = module
    monkeypatch.setitem(sys.modules, "horovod", package)
    monkeypatch.setitem(sys.modules, "horovod.tensorflow", module)
    monkeypatch.setattr(horovod_calls, "require_installed", lambda: None)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.delenv("HOROVOD_CYCLE_TIME", raising=False)
    with pytest.raises(InputError, match=r"^2 processes were launched, but Horovod sees 1"):
        horovod_calls.start()


@pytest.mark.parametrize(
    ("gpus", "given", "expected"), [([], None, "5"), ([], "2", "2"), (["GPU:0"], None, None)]
)
def test_workers_without_gpus_talk_less_often(monkeypatch, gpus, given, expected):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setenv("HOROVOD_CYCLE_TIME", given or "")
    if given is None:
        monkeypatch.delenv("HOROVOD_CYCLE_TIME")
    horovod_calls._talk_less_often()
    assert os.environ.get("HOROVOD_CYCLE_TIME") == expected
    monkeypatch.delenv("HOROVOD_CYCLE_TIME", raising=False)


def test_a_horovod_of_another_tensorflow_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "horovod", types.ModuleType("horovod"))
    monkeypatch.setitem(sys.modules, "horovod.tensorflow", None)  # importing it fails
    monkeypatch.setattr(horovod_calls, "require_installed", lambda: None)
    with pytest.raises(InputError, match=r"cannot be loaded: .* build it anew with .* --rebuild"):
        horovod_calls.start()


def test_bytes_of_all_are_taken_apart(monkeypatch):
    parts = [b"", b"ab\0c", b"d"]

    class Two:
        @staticmethod
        def allgather(array, name):
            if name.endswith("lengths"):
                return Tensor(np.array([len(part) for part in parts]))
            assert array.tobytes() == b"ab\0c\0"
            return Tensor(np.frombuffer(b"".join(part + b"\0" for part in parts), np.uint8))

    class Tensor:
        def __init__(self, array):
            self.numpy = lambda: array

    monkeypatch.setattr(horovod_calls, "hvd", lambda: Two)
    assert horovod_calls.gather_bytes(parts[1]) == parts
