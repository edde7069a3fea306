"""The optimizer of several workers: one mean of all gradients before every step.

Let g_i be the gradient of worker i's batch, of which all are equally large. Every worker steps with

    g = (g_1 + … + g_n) / n,

the gradient of the mean loss over the batches together. What a step moves besides the trained
variables (moving statistics of batch norm, ranges that follow the activations, the running sums of
the metrics) is averaged as well. A moving statistic follows m <- a m + (1 - a) s linearly, so the
mean of the workers' is what one would have that follows the mean of their batches' statistics. So
after every step all workers are equal in every variable: whoever saves, saves what all have.

Reference:
    Sergeev & Del Balso, "Horovod: fast and easy distributed deep learning in TensorFlow", 2018,
    arXiv:1802.05799.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf

from utils import horovod_calls
from utils.stopping import StopRequests, Terminated
from utils.training.wrapped_optimizer import WrappedOptimizer

_FLOATS = ("float16", "bfloat16", "float32", "float64")


class Beside:
    """What is averaged beside the gradients; Keras would take a list for the optimizer's own.

    Attributes:
        followers: float variables that a step moves by itself, the same in every worker; the mean
            takes their place. Set before the first step.
        stop: a follower that is above zero where a worker asked all to stop behind the step.
    """

    def __init__(self) -> None:
        self.followers: list[Any] = []
        self.stop = keras.Variable(0.0, trainable=False, name="stop")


class AveragingOptimizer(WrappedOptimizer):
    """Lets an optimizer step with the mean of all workers' gradients; see the module.

    It is the outermost wrapper: masks, clipping and the scale of the loss see the mean.

    Attributes:
        beside: what is averaged beside the gradients.
    """

    def __init__(self, inner: keras.optimizers.Optimizer, name: str | None = None) -> None:
        super().__init__(inner, name)
        self.beside = Beside()

    def before_step(self, gradients: list[Any], variables: Sequence[keras.Variable]) -> list[Any]:
        """Take the means."""
        del variables
        given = [index for index, gradient in enumerate(gradients) if gradient is not None]
        reduced = [_reducible(gradients[index]) for index in given]
        # In float64 the mean of equal values is that value, whatever the number of workers.
        followers = [*self.beside.followers, self.beside.stop]
        moved = [tf.cast(variable.value, tf.float64) for variable in followers]
        means = horovod_calls.averaged([*reduced, *moved])
        found: list[Any] = [None] * len(gradients)
        for index, mean in zip(given, means, strict=False):
            found[index] = tf.cast(mean, gradients[index].dtype)
        for variable, mean in zip(followers, means[len(given) :], strict=True):
            variable.assign(tf.cast(mean, variable.dtype))
        return found


class SharedStop:
    """Says after a step whether to stop: to all workers alike, whichever was asked.

    A signal reaches the workers at different moments. One that was asked tells the others in the
    next step, together with its gradients; so all stop behind the same step.

    Args:
        requests: of this worker.
        optimizer: that `fit` trains with.
    """

    def __init__(self, requests: StopRequests, optimizer: keras.optimizers.Optimizer) -> None:
        self._requests = requests
        self._shared = getattr(optimizer, "beside", None)
        self._is_told = False

    def __call__(self) -> bool:
        """Tell; called once after each step."""
        if self._shared is None:
            return self._requests.signal is not None
        self._is_told = float(self._shared.stop) > 0.0
        if self._requests.signal is not None:
            self._shared.stop.assign(1.0)
        return self._is_told

    @property
    def signal(self) -> signal.Signals | None:
        """The signal that ends the run; what another worker was sent counts as SIGTERM."""
        return self._requests.signal or (signal.SIGTERM if self._is_told else None)

    def raise_stop(self) -> NoReturn:
        """End the program; see `StopRequests`."""
        if self._requests.signal is None:
            raise Terminated(told=True)
        self._requests.raise_stop()


def moved_variables(variables: Sequence[Any]) -> list[Any]:
    """List those of a model's or metrics' variables that a step may move by itself, each once."""
    known: dict[int, Any] = {}
    for variable in variables:
        trained = getattr(variable, "trainable", False)
        if not trained and keras.backend.standardize_dtype(variable.dtype) in _FLOATS:
            known[id(variable)] = variable
    return list(known.values())


def _reducible(gradient: Any) -> tf.Tensor:
    """Give a gradient as Horovod takes it: dense (an embedding's comes in slices), no bfloat16."""
    dense = tf.convert_to_tensor(gradient)
    return tf.cast(dense, tf.float32) if dense.dtype == tf.bfloat16 else dense
