"""Filter pruning in a training loop of one's own: filters go step by step and stay zero."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.due_steps import due_steps
from learners.filters.carriers import (
    BIAS,
    FILTER,
    SCALE,
    SHIFT,
    Carrier,
    carriers,
    silence,
)
from learners.filters.choice import best, count_left, filter_groups, named_ratios
from learners.filters.criteria import CRITERIA, group_filters, require_scales
from learners.filters.gradients import products
from learners.filters.strip import example_inputs, stripped
from learners.live_weights import LiveWeights
from learners.own_loop import OwnLoop
from utils.errors import InputError
from utils.flags import nearest
from utils.graph import ChannelGroup

_SILENCED = frozenset({FILTER, BIAS, SCALE, SHIFT})
_SOURCE = "`ratio`"
_MAX_BATCHES = 100  # of whose gradients the criterion taylor is


class FilterPruner(OwnLoop):
    """Prunes filters while a model is trained.

        pruner = FilterPruner(model, 0.5, pretrain_step=100, sparse_step=300, frequency=100)
        model.fit(images, labels, epochs=5, callbacks=[pruner.callback()])
        smaller = pruner.strip()

    In a loop written by hand call `prepare(gradients)` after the backward pass and `step()` after
    the optimizer's; `prepare` is needed for the criterion `taylor` alone, which scores by the last
    100 batches since filters went. They are not among `variables`: a resumed loop collects anew.

    Pruned channels are zero, with their parameters of batch norms, and kept so. The ratio rises in
    equal shares, relative to the original width.

    Args:
        model: a built Keras model, trained and pruned in place.
        ratio: fraction of the filters that go, in [0, 1); or layer name -> fraction, and other
            layers keep theirs.
        criterion: a row of the table of criteria; not `obs`, which needs images.
        residual: `inner` leaves residual streams whole, `joint` prunes them too.
        pretrain_step: optimizer steps before the first filters go.
        sparse_step: steps during which filters go.
        frequency: every so many of them.
        seed: of the criterion `random`.
        allow_unsafe: the model may hold Python code.

    Attributes:
        groups: the coupled groups whose channels are pruned.

    Raises:
        InputError: for arguments or a network that cannot be used.
        ValueError: for numbers of steps that cannot be, see `due_steps`.
    """

    def __init__(  # noqa: PLR0913  what a loop has to say
        self,
        model: keras.Model,
        ratio: float | Mapping[str, float] = 0.5,
        *,
        criterion: str = "l1_norm",
        residual: str = "inner",
        pretrain_step: int = 0,
        sparse_step: int = 1,
        frequency: int = 1,
        seed: int = 0,
        allow_unsafe: bool = False,
    ) -> None:
        super().__init__(model)
        self._due = dict(due_steps(pretrain_step, sparse_step, frequency))
        self._criterion = criterion
        self._score = _score_of(criterion)
        self._seed = seed
        self._weights = LiveWeights(model, allow_unsafe=allow_unsafe)
        self.groups, self._ratios = _groups(self._weights, ratio, residual)
        self._parts = {g.name: carriers(self._weights.graph, g) for g in self.groups}
        self._gone = {
            group.name: keras.Variable(
                np.zeros(group.size, bool), dtype="bool", trainable=False, name="is_gone"
            )
            for group in self.groups
        }
        if CRITERIA[criterion].scales:
            for group in self.groups:
                scales = [part for part in self._parts[group.name] if part.kind == SCALE]
                require_scales(group.name, len(scales))
        self._products: dict[tuple[str, str], collections.deque[np.ndarray]] = {}

    @property
    def variables(self) -> list[keras.Variable]:
        """See `OwnLoop`."""
        return [*super().variables, *self._gone.values()]

    def callback(self) -> keras.callbacks.Callback:
        """Make the callback for `model.fit`.

        Raises:
            InputError: for the criterion taylor: Keras shows callbacks no gradients.
        """
        if CRITERIA[self._criterion].gradients:
            raise InputError(
                f"the criterion {self._criterion} needs gradients, which callbacks do not see: "
                "write the loop by hand and call prepare(gradients), or choose another criterion."
            )
        return super().callback()

    def prepare(self, gradients: Sequence[Any]) -> None:
        """Take up the gradients of a batch, before the optimizer's step.

        Args:
            gradients: of `model.trainable_variables`, in this order; None where there is none.
        """
        if not CRITERIA[self._criterion].gradients or self.num_steps >= max(self._due):
            return
        given = {
            id(variable): gradient
            for variable, gradient in zip(self.model.trainable_variables, gradients, strict=True)
        }
        for part in self._of_kind(FILTER):
            variable = self._weights.variable(part.layer, part.weight)
            gradient = given.get(id(variable))
            value = np.asarray(variable)
            slope = np.zeros_like(value) if gradient is None else gradient
            found = products(part, value, slope)
            key = part.layer, part.weight
            self._products.setdefault(key, collections.deque(maxlen=_MAX_BATCHES)).append(found)

    def after_step(self, number: int) -> None:
        """Prune what is due, and keep zero what is."""
        if number in self._due:
            self.prune(self._due[number])
        self._hold()

    def prune(self, share: float = 1.0) -> None:
        """Choose the filters that go and set them to zero.

        Args:
            share: of the ratio that is reached by then, in (0, 1]. What is gone stays so.

        Raises:
            InputError: for the criterion taylor without `prepare`.
        """
        found = {key: np.stack(rows) for key, rows in self._products.items()}
        if CRITERIA[self._criterion].gradients and not found:
            raise InputError(
                f"the criterion {self._criterion} has seen no gradients: call prepare(gradients) "
                "before step()."
            )
        for number, group in enumerate(self.groups):
            gone = np.asarray(self._gone[group.name])
            filters = group_filters(group, self._parts[group.name], self._weights.value, found)
            generator = np.random.default_rng([self._seed, number])
            scores = np.array(self._score(filters, generator))
            scores[gone] = scores.min() - 1.0
            keep = best(scores, count_left(group.size, share * self._ratios[group.name]), group)
            self._gone[group.name].assign(~keep)
        self._products.clear()
        self._hold()

    def keep(self) -> dict[str, np.ndarray]:
        """Say which channels of each group stay: bool arrays by group name."""
        return {name: ~np.asarray(mask) for name, mask in self._gone.items()}

    def strip(self, inputs: Any = None) -> keras.Model:
        """Cut the filters that are gone.

        Where an activation still gives something of one, and a layer that reads it has no offset
        that takes it up, it stays, and a note says so.

        Args:
            inputs: a batch of the network's inputs; needed only where an activation gives a pruned
                channel something else than zero that depends on the image.

        Returns:
            A smaller plain Keras model; the one that is trained stays as it is.
        """
        graph = self._weights.current()
        batch = example_inputs(graph) if inputs is None else inputs
        return stripped(graph, self.groups, self.keep(), batch).network()

    def _hold(self) -> None:
        for name, mask in self._gone.items():
            parts = [part for part in self._parts[name] if part.kind in _SILENCED]
            silence(self._weights, parts, mask)

    def _of_kind(self, kind: str) -> list[Carrier]:
        parts = (part for parts in self._parts.values() for part in parts if part.kind == kind)
        return list({(part.layer, part.weight): part for part in parts}.values())


def _score_of(criterion: str) -> Any:
    if criterion not in CRITERIA:
        raise InputError(f"`criterion`: unknown {criterion!r}. {nearest(criterion, CRITERIA)}")
    score = CRITERIA[criterion].score
    if score is None:
        others = [name for name, row in CRITERIA.items() if row.score is not None]
        raise InputError(
            f"`criterion`: {criterion} looks at images; it is for the learner filter-pruned. Here "
            f"there are {', '.join(others)}."
        )
    return score


def _groups(
    weights: LiveWeights, ratio: float | Mapping[str, float], residual: str
) -> tuple[list[ChannelGroup], dict[str, float]]:
    """Settle which groups are pruned and by how much."""
    graph = weights.graph
    given = [ratio] if isinstance(ratio, (int, float)) else list(ratio.values())
    if not given or not all(0.0 <= each < 1.0 for each in given):
        raise InputError(
            f"{_SOURCE} must be in [0, 1), or a dict of layer names with such. Received: {ratio!r}."
        )
    if isinstance(ratio, (int, float)):
        groups = filter_groups(graph, residual=residual)
        return groups, {group.name: float(ratio) for group in groups}
    named = named_ratios(graph, ratio, _SOURCE)
    groups = filter_groups(graph, residual="joint")
    chosen = [group for group in groups if group.name in named]
    return chosen, {group.name: float(named[group.name] or 0.0) for group in chosen}
