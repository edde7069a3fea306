"""What workers must have alike."""

import numpy as np

from tests.utils.several import run_workers
from utils.errors import InputError
from utils.training.agreement import choices_digest, refuse_equal_batches


def test_decisions_count_and_last_bits_do_not():
    kernel = np.array([[1.0, 0.0], [2.0, 3.0]])
    bias = np.zeros(2)
    digest = choices_digest([kernel, bias])
    assert choices_digest([kernel * (1 + 1e-15), bias + 1.0]) == digest
    assert choices_digest([kernel[:, ::-1], bias]) != digest
    assert choices_digest([kernel[:1], bias]) != digest
    assert choices_digest([kernel.reshape(1, 4), bias]) != digest


def batch(rank):
    return {"x": np.full((2, 3), rank)}, np.arange(2)


def test_different_batches_pass(monkeypatch):
    def work(workers):
        refuse_equal_batches(workers, batch(workers.rank), "full-prec")

    assert run_workers(monkeypatch, 3, work) == [None] * 3


def test_equal_batches_are_refused(monkeypatch):
    def work(workers):
        refuse_equal_batches(workers, batch(workers.rank // 2), "full-prec")

    for error in run_workers(monkeypatch, 3, work):
        assert isinstance(error, InputError)
        assert "full-prec: several workers are given the same training batch" in str(error)
        assert "self.worker" in str(error)
