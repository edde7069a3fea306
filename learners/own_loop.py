"""The base of the objects that prune in a training loop of the user's own.

Such an object is told of every step: by its Keras callback inside `fit`, or by `step()` in a loop
written by hand. A subclass says what is done when: `learners.filters` for whole filters,
`learners.sparsity` for single weights.
"""

import abc
from collections.abc import Iterator, Mapping

import keras


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

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """After a step."""
        self._loop.step()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """After an epoch."""
        self._loop.end_epoch()


def due_steps(pretrain_step: int, sparse_step: int, frequency: int) -> Iterator[tuple[int, float]]:
    """List the steps after which something is pruned, and which share of it by then.

    Args:
        pretrain_step: steps of training before.
        sparse_step: steps during which it is pruned.
        frequency: every so many of them.

    Yields:
        Step and share in (0, 1]; the last share is 1.

    Raises:
        ValueError: if a number is below 0, or `frequency` not in 1 to `sparse_step`.

    Example:
        >>> list(due_steps(100, 60, 20))
        [(120, 0.3333333333333333), (140, 0.6666666666666666), (160, 1.0)]
    """
    if pretrain_step < 0 or not 1 <= frequency <= sparse_step:
        raise ValueError(
            "`pretrain_step` must be at least 0 and `frequency` in 1 to `sparse_step`. Received: "
            f"pretrain_step={pretrain_step}, sparse_step={sparse_step}, frequency={frequency}."
        )
    times = sparse_step // frequency
    for number in range(1, times + 1):
        yield pretrain_step + number * frequency, number / times
