"""The base of the objects that prune in a training loop of the user's own.

Such an object is told of every step: by its Keras callback inside `fit`, or by `step()` in a loop
written by hand. A subclass says what is done when: `learners.filters` for whole filters,
`learners.sparsity` for single weights.
"""

import abc
from collections.abc import Mapping

import keras

from utils.errors import InputError


class OwnLoop(abc.ABC):
    """Counts steps and does something to a model's weights at some of them.

    Args:
        model: a built Keras model, changed in place as it is trained.

    Attributes:
        model: as given.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        # A variable, so that training that is saved and resumed goes on counting.
        self._steps = keras.Variable(0, dtype="int64", trainable=False, name="pruning_steps")

    @property
    def variables(self) -> list[keras.Variable]:
        """What a resumed training must get back beside the model's variables."""
        return [self._steps]

    @property
    def num_steps(self) -> int:
        """Optimizer steps counted so far."""
        return int(self._steps.numpy())

    def step(self) -> None:
        """Call after every optimizer step."""
        self._steps.assign_add(1)
        self.after_step(self.num_steps)

    @abc.abstractmethod
    def after_step(self, number: int) -> None:
        """Do what is due after step `number`, counted from 1."""

    def end_epoch(self) -> None:  # noqa: B027  optional to override
        """Call after every epoch."""

    def callback(self) -> keras.callbacks.Callback:
        """Make the callback for `model.fit`; it calls `step` and `end_epoch`."""
        return _LoopCallback(self)


class _LoopCallback(keras.callbacks.Callback):
    """Tells an object of steps and epochs."""

    def __init__(self, loop: OwnLoop) -> None:
        super().__init__()
        self._loop = loop

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Refuse what would take the weights out of the object's hands."""
        steps = int(self.model.steps_per_execution)
        if steps > 1:
            raise InputError(
                "`steps_per_execution` must be 1 for pruning: callbacks are called once per "
                f"execution, and every step counts. Received: {steps}."
            )
        if getattr(self.model.optimizer, "use_ema", False):
            raise InputError(
                "`use_ema` of the optimizer must be False for pruning: in the end its averages "
                "replace the weights, and what was removed would be back."
            )

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """After a step."""
        self._loop.step()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """After an epoch."""
        self._loop.end_epoch()
