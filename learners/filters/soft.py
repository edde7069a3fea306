"""Soft filter pruning: redundant filters are set to zero, go on learning, and may come back.

For a falling list of thresholds:

1. filters that the rule of `redundancy.py` finds redundant are set to zero;
2. the network is trained; after every epoch it is decided anew, from the weights as they are then,
   which filters are set to zero. One that has grown back beyond the rule stays;
3. while more of the zeroed filters came back than is allowed, 2 is repeated, else the next
   threshold follows.

In the end the filters that are zero are cut out.

Reference: He et al., "Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks",
2018, arXiv:1808.06866. Departs from the paper: a threshold on redundancy says how many filters of a
layer go, not one rate for all layers.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.channels.blocks import with_blocks
from learners.filters.carriers import BIAS, FILTER, MEAN, carriers, silence
from learners.filters.criteria import group_filters
from learners.filters.inner_blocks import soft_groups
from learners.filters.redundancy import failure_rate, is_redundant, sparsity
from learners.filters.strip import Stripped, example_inputs, stripped
from learners.filters.thresholds import THRESHOLDS, check_thresholds
from learners.live_weights import LiveWeights
from learners.own_loop import OwnLoop
from utils.errors import InputError

_ZEROED = frozenset({FILTER, BIAS, MEAN})  # with its filters an output is zero, and so is its mean


@dataclasses.dataclass(frozen=True)
class Summary:
    """How far soft pruning has come.

    Attributes:
        threshold: the one at hand.
        failure_rate: which share of the filters that had been set to zero was not redundant any
            more when it was last looked, after training.
        zeroed: group, by the name of its first layer -> how many of its channels are zero.
        sizes: group -> how many there are.
    """

    threshold: float
    failure_rate: float
    zeroed: Mapping[str, int]
    sizes: Mapping[str, int]

    def __str__(self) -> str:
        total, zero = sum(self.sizes.values()), sum(self.zeroed.values())
        return (
            f"threshold {self.threshold:g}: {zero} of {total} filters are zero, "
            f"{100 * self.failure_rate:.0f} % of those that had been came back"
        )


class Pruning(OwnLoop):
    """Soft filter pruning in a training loop of one's own.

        pruning = Pruning(model)
        for threshold in pruning:
            model.fit(images, labels, epochs=3, callbacks=[pruning.callback()])
            print(pruning.summary())
        smaller = pruning.strip()

    In a loop written by hand call `step()` after every optimizer step and `end_epoch()` after every
    epoch, instead of the callback.

    Args:
        model: a built Keras model; it is trained and set to zero in place.
        thresholds: of redundancy, falling, in (0, 1).
        scope_names: only layers whose name contains one of these parts.
        max_failure_rate: go on with the next threshold when at most this share came back.
        max_retrains: how often training is repeated for one threshold.
        frequency: steps between two decisions; None for the ends of epochs.
        allow_unsafe: the model may hold Python code.

    Attributes:
        groups: the coupled groups whose channels are pruned.
        note: a sentence about their choice, or None.
        threshold: the one at hand.
        num_regrown: filters that came back so far.

    Raises:
        InputError: for arguments or a network that cannot be used.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        thresholds: Sequence[float] = THRESHOLDS,
        scope_names: Sequence[str] = (),
        max_failure_rate: float = 0.1,
        max_retrains: int = 2,
        frequency: int | None = None,
        allow_unsafe: bool = False,
    ) -> None:
        super().__init__(model)
        check_thresholds(thresholds)
        if isinstance(scope_names, str):
            raise InputError(
                "`scope_names` must be a sequence of parts of names. Received: "
                f"{scope_names!r}. Write ({scope_names!r},)."
            )
        too_often = frequency is not None and frequency < 1
        if not 0.0 <= max_failure_rate <= 1.0 or max_retrains < 0 or too_often:
            raise InputError(
                "`max_failure_rate` must be in [0, 1], `max_retrains` at least 0, `frequency` at "
                f"least 1. Received: {max_failure_rate}, {max_retrains}, {frequency}."
            )
        self._thresholds = tuple(thresholds)
        self._limits = (max_failure_rate, max_retrains)
        self._frequency = frequency
        self._weights = LiveWeights(model, allow_unsafe=allow_unsafe)
        graph = self._weights.graph
        self.groups, self.note = soft_groups(graph, scope_names)
        self.threshold = self._thresholds[0]
        self._parts = {
            group.name: [part for part in carriers(graph, group) if part.kind in _ZEROED]
            for group in self.groups
        }
        self._zero = {
            group.name: keras.Variable(
                np.zeros(group.size, bool), dtype="bool", trainable=False, name="is_zero"
            )
            for group in self.groups
        }
        self._failed = keras.Variable(0.0, trainable=False, name="failure_rate")
        self._regrown = keras.Variable(0, dtype="int32", trainable=False, name="num_regrown")
        self._decided = keras.Variable(0, dtype="int64", trainable=False, name="decided_at")
        self._turn = keras.Variable(0, dtype="int32", trainable=False, name="turn")

    def __iter__(self) -> Iterator[float]:
        """Go through the thresholds; each comes again while too many filters came back.

        Train the model for each. Filters are set to zero before. An object whose variables were
        restored goes on with the training that it was in.
        """
        limit, retrains = self._limits
        turns = 1 + retrains  # of each threshold, at most
        while (turn := int(self._turn.numpy())) < turns * len(self._thresholds):
            index = turn // turns
            self.set_threshold(self._thresholds[index])
            self.zero()
            self._failed.assign(0.0)
            yield self.threshold
            if self.num_steps > int(self._decided.numpy()):  # steps since the last decision
                self.update()
            is_done = self.failure_rate <= limit
            self._turn.assign(turns * (index + 1) if is_done else turn + 1)
        self._turn.assign(0)

    @property
    def variables(self) -> list[keras.Variable]:
        """See `OwnLoop`."""
        own = [self._failed, self._regrown, self._decided, self._turn]
        return [*super().variables, *self._zero.values(), *own]

    @property
    def failure_rate(self) -> float:
        """See `Summary`."""
        return float(self._failed.numpy())

    @property
    def num_regrown(self) -> int:
        """Filters that were set to zero and came back, over all decisions so far."""
        return int(self._regrown.numpy())

    def set_threshold(self, threshold: float) -> None:
        """Choose the threshold by hand.

        Raises:
            InputError: if it is not in (0, 1).
        """
        check_thresholds([threshold], "`threshold`")
        self.threshold = threshold

    def keep(self) -> dict[str, np.ndarray]:
        """Say which channels of each group are not zero: bool arrays by group name."""
        return {name: ~np.asarray(mask) for name, mask in self._zero.items()}

    def zero(self) -> None:
        """Decide which filters are redundant now, and set them to zero."""
        for group in self.groups:
            sparsities = self._sparsities(group)
            mask = with_blocks(~is_redundant(sparsities, self.threshold), -sparsities, group)
            self._zero[group.name].assign(~mask)
            silence(self._weights, self._parts[group.name], ~mask)
        self._decided.assign(self.num_steps)

    def update(self) -> None:
        """Look which zeroed filters came back, then decide anew; after an epoch of training."""
        meant = [np.asarray(mask) for mask in self._zero.values()]
        redundant = [is_redundant(self._sparsities(group), self.threshold) for group in self.groups]
        self._failed.assign(failure_rate(meant, redundant))
        back = sum(int((was & ~now).sum()) for was, now in zip(meant, redundant, strict=True))
        self._regrown.assign_add(back)
        self.zero()

    def after_step(self, number: int) -> None:
        """Decide anew where an interval of steps was asked for."""
        if self._frequency is not None and number % self._frequency == 0:
            self.update()

    def end_epoch(self) -> None:
        """Decide anew at the end of an epoch, where no interval was asked for."""
        if self._frequency is None:
            self.update()

    def summary(self) -> Summary:
        """Say how far it has come."""
        zeroed = {name: int(np.sum(mask)) for name, mask in self._zero.items()}
        sizes = {group.name: group.size for group in self.groups}
        return Summary(self.threshold, self.failure_rate, zeroed, sizes)

    def stripped(self, inputs: Any = None) -> Stripped:
        """Cut the filters that are zero, see `strip`."""
        graph = self._weights.current()
        params = {layer: dict(arrays) for layer, arrays in graph.params.items()}
        for name, mask in self._zero.items():  # some may have grown since the last decision
            for part in self._parts[name]:
                array = params[part.layer][part.weight]
                params[part.layer][part.weight] = part.without(array, np.asarray(mask))
        graph = graph.replace(params=params)
        batch = example_inputs(graph) if inputs is None else inputs
        return stripped(graph, self.groups, self.keep(), batch)

    def strip(self, inputs: Any = None) -> keras.Model:
        """Cut the filters that are zero.

        What their channels still give (a batch norm's beta) moves into the layers that read them.
        Where one of these has no offset that takes it up, the filter stays, and a note says so.

        Args:
            inputs: a batch of the network's inputs, from which that is taken; None for noise, which
                serves unless a zero filter's channel is multiplied with others.

        Returns:
            A smaller plain Keras model; the one that is trained stays as it is.
        """
        return self.stripped(inputs).network()

    def _sparsities(self, group: Any) -> np.ndarray:
        filters = group_filters(group, self._parts[group.name], self._weights.value).filters
        return sparsity(filters, group.size)
