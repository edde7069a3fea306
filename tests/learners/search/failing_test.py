import math
import types

import numpy as np
import pytest

from learners.search import failing
from learners.search.failing import loss_of, raise_if_alone

VALUES = np.array([1, 2])


def problem_that(result):
    def score(values):
        assert values is VALUES
        if isinstance(result, Exception):
            raise result
        return types.SimpleNamespace(loss=result)

    return types.SimpleNamespace(score=score)


def test_a_candidate_that_fails_has_no_loss():
    assert loss_of(problem_that(0.25), VALUES) == 0.25
    assert math.isnan(loss_of(problem_that(ValueError("no such width")), VALUES))
    assert math.isnan(loss_of(problem_that(MemoryError()), VALUES))  # one worker: no one waits


def test_what_one_of_several_lacks_ends_the_search(monkeypatch):
    monkeypatch.setattr(failing, "current", lambda: types.SimpleNamespace(size=2))
    with pytest.raises(MemoryError):
        loss_of(problem_that(MemoryError()), VALUES)
    assert math.isnan(loss_of(problem_that(ValueError("in all of them")), VALUES))
    with pytest.raises(OSError, match="disk"):
        raise_if_alone(OSError("disk"))
