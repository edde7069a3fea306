"""2 workers with 32 images each come to what 1 worker with 64 comes to."""

import json
import pathlib
import sys

import numpy as np
import pytest

from tests.distributed.launching import workers
from tests.distributed.same_results import FROZEN

PROGRAM = pathlib.Path(__file__).with_name("same_results.py")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What one worker and what two left."""
    found = {}
    for number in (1, 2):
        folder = tmp_path_factory.mktemp(f"workers_{number}")
        done = workers(number, sys.executable, str(PROGRAM), str(folder))
        assert done.returncode == 0, done.stderr[-3000:]
        found[number] = folder
    return found


def weights(folders, name):
    for number in (1, 2):
        with np.load(folders[number] / f"{name}.npz") as arrays:
            yield [arrays[key] for key in arrays.files]


def facts(folders, name):
    return [json.loads((folders[number] / f"{name}.json").read_text()) for number in (1, 2)]


@pytest.mark.parametrize("learner", FROZEN)
def test_weights_after_20_steps(folders, learner):
    """In float64, batch norm frozen: also the same channels and zeros."""
    one, two = weights(folders, learner)
    assert [array.shape for array in one] == [array.shape for array in two]
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(ours == 0, theirs == 0)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_loss_with_quantizers_that_follow_the_activations(folders):
    one, two = facts(folders, "uniform-tf")
    assert len(one["losses"]) == len(two["losses"]) > 0
    np.testing.assert_allclose(one["losses"], two["losses"], rtol=1e-3)


def test_scores_are_the_same_to_the_bit(folders):
    one, two = facts(folders, "scores")
    assert one == two
    assert set(one) == {"loss", "accuracy"}


def test_a_search_finds_the_same(folders):
    """The same candidates, the same rewards, the same best."""
    trials = []
    for number in (1, 2):
        lines = (folders[number] / "search" / "search.jsonl").read_text().splitlines()[1:]
        trials.append([json.loads(line) for line in lines])
    assert len(trials[0]) == len(trials[1]) == 3
    for one, two in zip(*trials, strict=True):
        assert one["choices"] == two["choices"]
        assert one["reward"] == pytest.approx(two["reward"], abs=1e-6)
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)


def test_worker_0_alone_writes(folders):
    one, two = (
        sorted(path.relative_to(folders[number]).as_posix() for path in folders[number].rglob("*"))
        for number in (1, 2)
    )
    events = "events.out.tfevents"
    assert [name for name in one if events not in name] == [
        name for name in two if events not in name
    ]
    assert sum(events in name for name in one) == sum(events in name for name in two)
