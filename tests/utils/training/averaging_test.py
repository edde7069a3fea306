"""The optimizer of several workers, with Horovod's mean replaced by one with a known peer."""

import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from utils import horovod_calls
from utils.stopping import Interrupted, StopRequests, Terminated
from utils.training import averaging
from utils.training.averaging import AveragingOptimizer, SharedStop, moved_variables
from utils.training.zeros import MaskedOptimizer


@pytest.fixture
def peer(monkeypatch):
    """A second worker all of whose tensors are zero."""
    seen = []

    def averaged(tensors):
        seen.append([tensor.dtype.name for tensor in tensors])
        return [tensor / 2 for tensor in tensors]

    monkeypatch.setattr(horovod_calls, "averaged", averaged)
    return seen


def test_a_step_takes_the_mean(peer):
    kernel, unused = keras.Variable(np.ones((2, 2), np.float32)), keras.Variable([1.0])
    optimizer = AveragingOptimizer(keras.optimizers.SGD(1.0))
    optimizer.build([kernel, unused])
    optimizer.apply([tf.fill([2, 2], 4.0), None], [kernel, unused])
    np.testing.assert_array_equal(kernel, np.full((2, 2), 1.0 - 4.0 / 2))
    np.testing.assert_array_equal(unused, [1.0])
    assert int(optimizer.iterations) == 1


def test_slices_and_halves_are_reduced_too(peer):
    table, half = keras.Variable(np.zeros((3, 2), np.float32)), keras.Variable([0.0])
    slices = tf.IndexedSlices(tf.ones([1, 2]), tf.constant([1]), tf.constant([3, 2]))
    optimizer = AveragingOptimizer(keras.optimizers.SGD(1.0))
    optimizer.build([table, half])
    optimizer.apply([slices, tf.constant([2.0], tf.bfloat16)], [table, half])
    np.testing.assert_array_equal(table, [[0, 0], [-0.5, -0.5], [0, 0]])
    assert float(half[0]) == -1.0
    assert "bfloat16" not in peer[0]


def test_followers_get_their_mean_and_are_not_the_optimizers_own(peer):
    kernel, moving = keras.Variable([1.0]), keras.Variable([3.0], trainable=False)
    optimizer = AveragingOptimizer(keras.optimizers.SGD(1.0))
    optimizer.beside.followers = [moving]
    optimizer.build([kernel])
    own = len(optimizer.variables)
    optimizer.apply([tf.constant([0.0])], [kernel])
    assert float(moving[0]) == 1.5
    assert len(optimizer.variables) == own
    assert all(variable is not moving for variable in optimizer.variables)
    assert peer[0] == ["float32", "float64", "float64"]  # the last one: whether to stop


def test_masks_see_the_mean(peer):
    kernel = keras.Variable(np.array([[1.0, 0.0]], np.float32))
    optimizer = AveragingOptimizer(MaskedOptimizer(keras.optimizers.SGD(1.0), (0,)))
    optimizer.build([kernel])
    optimizer.apply([tf.constant([[1.0, 1.0]])], [kernel])
    np.testing.assert_array_equal(kernel, [[0.5, 0.0]])


def test_what_a_step_moves_by_itself():
    norm = keras.layers.BatchNormalization()
    norm.build((None, 3))
    seed = keras.random.SeedGenerator(1).state
    found = moved_variables([*norm.variables, *norm.variables, seed])
    assert {variable.name for variable in found} == {"moving_mean", "moving_variance"}
    assert len(found) == 2


class _Requests(StopRequests):
    """As if a signal came, or none."""

    def __init__(self, number=None):
        super().__init__()
        self.signal = number


def test_all_stop_behind_the_step_in_which_one_told_it():
    optimizers = [AveragingOptimizer(keras.optimizers.SGD()) for _ in range(2)]
    requests = [_Requests(), _Requests()]
    stops = [SharedStop(*pair) for pair in zip(requests, optimizers, strict=True)]

    def step():
        mean = sum(float(each.beside.stop) for each in optimizers) / 2
        for each in optimizers:
            each.beside.stop.assign(mean)
        return [stop() for stop in stops]

    assert step() == [False, False]
    requests[1].signal = signal.SIGINT
    assert step() == [False, False]  # told in the next step only, to all
    assert step() == [True, True]
    assert [stop.signal for stop in stops] == [signal.SIGTERM, signal.SIGINT]
    with pytest.raises(Terminated):
        stops[0].raise_stop()
    with pytest.raises(Interrupted):
        stops[1].raise_stop()


def test_one_worker_stops_at_once():
    stop = SharedStop(_Requests(signal.SIGTERM), keras.optimizers.SGD())
    assert stop()
    assert averaging.SharedStop(_Requests(), keras.optimizers.SGD()).signal is None
