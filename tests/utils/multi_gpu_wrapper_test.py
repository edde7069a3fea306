"""One worker exchanges nothing; several get the same, or are told who differs."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

from tests.utils.several import run_workers
from utils import horovod_calls
from utils.errors import InputError
from utils.multi_gpu_wrapper import MultiGpuWrapper, alone, current, together


def test_a_single_worker_exchanges_nothing() -> None:
    workers = MultiGpuWrapper.init(False)
    assert (workers.rank, workers.size, workers.local_rank, workers.local_size) == (0, 1, 0, 1)
    assert workers.is_chief
    optimizer = object()
    assert workers.distributed_optimizer(optimizer) is optimizer
    assert workers.mean_metrics({"loss": 0.5}) == {"loss": 0.5}
    assert workers.from_chief("as it is") == "as it is"
    assert workers.gather(3) == [3]
    assert workers.files_from_chief({"a": b"1"}) == {"a": b"1"}
    workers.broadcast([])
    workers.barrier()
    workers.agree("whatever")


@pytest.mark.parametrize("way", ["flag", "launcher"])
def test_without_horovod_the_installation_is_told(monkeypatch, way) -> None:
    monkeypatch.setattr(horovod_calls.importlib.util, "find_spec", lambda name: None)
    if way == "launcher":
        monkeypatch.setenv("HOROVOD_SIZE", "2")
    for call in (MultiGpuWrapper.check, MultiGpuWrapper.init):
        with pytest.raises(InputError, match=r"lacks\. Install it once with scripts/install_horo"):
            call(way == "flag")


def test_what_worker_0_has_reaches_all(monkeypatch) -> None:
    def work(workers):
        value = workers.from_chief({"own": workers.rank, "list": [1, 2.5]})
        files = {"a/b": b"12", "empty": b""} if workers.is_chief else {}
        return value, workers.files_from_chief(files), workers.gather(workers.rank * 2)

    expected = ({"own": 0, "list": [1, 2.5]}, {"a/b": b"12", "empty": b""}, [0, 2, 4])
    assert run_workers(monkeypatch, 3, work) == [expected] * 3


def test_variables_of_any_type_get_the_values_of_worker_0(monkeypatch) -> None:
    def work(workers):
        variables = [
            keras.Variable(np.full((2, 3), workers.rank + 0.5, np.float32)),
            keras.Variable(np.array([workers.rank, 7]), dtype="uint32", trainable=False),
            keras.Variable(np.array([workers.rank == 0, False]), dtype="bool", trainable=False),
        ]
        workers.broadcast(variables)
        return [np.asarray(variable).tolist() for variable in variables]

    assert run_workers(monkeypatch, 2, work) == [[[[0.5] * 3] * 2, [0, 7], [True, False]]] * 2


def test_sums_and_means(monkeypatch) -> None:
    def work(workers):
        arrays = [np.array(workers.rank), np.full((2, 2), 0.5)]
        total, halves = workers.sum_arrays(arrays)
        means = workers.mean_metrics({"loss": workers.rank, "accuracy": 1.0})
        return int(total), halves.tolist(), means

    assert (
        run_workers(monkeypatch, 3, work)
        == [(3, [[1.5] * 2] * 2, {"loss": 1.0, "accuracy": 1.0})] * 3
    )


def test_arrays_of_different_shapes_are_collected(monkeypatch) -> None:
    def work(workers):
        own = [np.arange(workers.rank + 1), np.ones((workers.rank, 2), np.float32)]
        return workers.gather_arrays(own if workers.rank else own[:1])

    for found in run_workers(monkeypatch, 2, work):
        assert [[part.shape for part in own] for own in found] == [[(1,)], [(2,), (1, 2)]]
        assert found[1][1].dtype == np.float32


def test_a_disagreement_names_the_worker(monkeypatch) -> None:
    def work(workers):
        workers.agree("same", "the masks")
        workers.agree("other" if workers.rank == 1 else "one", "the codebooks")

    for error in run_workers(monkeypatch, 3, work):
        assert isinstance(error, InputError)
        assert "disagree on the codebooks: worker 0 has one, worker 1 other." in str(error)


def test_work_is_divided_without_overlap() -> None:
    parts = [list(MultiGpuWrapper(rank, 3).own(8)) for rank in range(3)]
    assert sorted(number for part in parts for number in part) == list(range(8))
    assert all(MultiGpuWrapper(1, 3).is_own(number) == (number in parts[1]) for number in range(8))


def test_alone_and_together_end_also_after_an_error() -> None:
    before, others = current(), MultiGpuWrapper(0, 2)
    with pytest.raises(ValueError, match="x"), together(others):
        assert current() == others
        with alone():
            assert current().size == 1
        assert current() == others
        raise ValueError("x")
    assert current() is before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("image 3 is no image"), r"^worker 1: ValueError: image 3 is no image\."),
        (InputError("x.csv: no such file."), r"^worker 1: x\.csv: no such file\.$"),
    ],
)
def test_what_fails_in_one_worker_fails_in_all_by_its_name(monkeypatch, error, said) -> None:
    def work(workers):
        with workers.failing_together():
            if workers.rank == 1:
                raise error
        return workers.gather("behind")

    zero, one, two = run_workers(monkeypatch, 3, work)
    assert one is error
    for other in (zero, two):
        assert isinstance(other, InputError)
        assert re.search(said, str(other))


def test_what_fails_in_all_is_each_workers_own(monkeypatch) -> None:
    def work(workers):
        with workers.failing_together():
            raise InputError("all find it")

    assert [str(found) for found in run_workers(monkeypatch, 2, work)] == ["all find it"] * 2


def test_parts_that_are_done_go_on(monkeypatch) -> None:
    def work(workers):
        with workers.failing_together():
            part = workers.rank
        return workers.gather(part)

    assert run_workers(monkeypatch, 2, work) == [[0, 1]] * 2
    with pytest.raises(KeyError), MultiGpuWrapper().failing_together():
        raise KeyError("one worker")
