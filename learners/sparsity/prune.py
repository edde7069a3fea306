"""Sparse training in a training loop of one's own: weights go step by step and stay zero."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.due_steps import due_steps
from learners.kernels.layers import KernelLayer, kernel_layers
from learners.live_weights import LiveWeights
from learners.own_loop import OwnLoop
from learners.sparsity.masks import Granularity, make_mask, parse_granularity
from learners.sparsity.progression import PROGRESSIONS
from learners.sparsity.prune_dict import (
    PruneDict,
    as_prune_dict,
    ratios_by_layer,
    read_prune_dict,
)
from learners.sparsity.score import SCORES
from utils.errors import InputError
from utils.flags import nearest
from utils.traced import traced

_SOURCE = "`prune_dict`"
_USUAL_RATIO = 0.75


@dataclasses.dataclass(frozen=True)
class SparseRates:
    """How many weights are exactly zero.

    Attributes:
        zeros: kernel -> how many of its weights.
        sizes: kernel -> how many there are; kernels that are left whole among them.
        pruned: the kernels from which weights are removed.
    """

    zeros: Mapping[str, int]
    sizes: Mapping[str, int]
    pruned: tuple[str, ...]

    @property
    def layers(self) -> dict[str, float]:
        """Fraction of zeros of each kernel that is pruned."""
        return {name: self.zeros[name] / self.sizes[name] for name in self.pruned}

    @property
    def of_pruned(self) -> float:
        """Fraction of zeros in all kernels that are pruned."""
        return self._share(self.pruned)

    @property
    def of_all(self) -> float:
        """Fraction of zeros in all kernels of the network."""
        return self._share(tuple(self.sizes))

    def _share(self, names: Sequence[str]) -> float:
        size = sum(self.sizes[name] for name in names)
        return sum(self.zeros[name] for name in names) / size if size else 0.0

    def __str__(self) -> str:
        return (
            f"{100 * self.of_pruned:.2f} % of the weights in {len(self.pruned)} kernels are zero, "
            f"{100 * self.of_all:.2f} % of all {len(self.sizes)}"
        )


class Prune(OwnLoop):
    """Removes single weights while a model is trained.

        prune = Prune(model, {"conv*": 0.9375}, pretrain_step=100, sparse_step=400, frequency=100)
        model.fit(images, labels, epochs=5, callbacks=[prune.callback()])
        print(prune.sparse_rates())

    In a loop written by hand call `prepare(gradients)` after the backward pass and `step()` after
    the optimizer's; what `prepare` is given counts for the criterion `gradient` alone.

    A removed weight is exactly zero after every step from then on. The network keeps its shapes.

    Args:
        model: a built Keras model, trained and pruned in place.
        prune_dict: kernel name or pattern -> fraction of its weights that is removed, in [0, 1);
            the file of one; or a number for all kernels but the depthwise ones, which have few
            weights. None for what a pattern N:M removes, else 0.75.
        pretrain_step: optimizer steps before the first weights go.
        sparse_step: steps during which weights go.
        frequency: every so many of them.
        progression: how the ratios rise, a key of `PROGRESSIONS`.
        criterion: which weights go first, a key of `SCORES`.
        granularity: what goes together: `element`, N:M such as `2:4`, a tile such as `1x4`; see
            `parse_granularity`.
        allow_unsafe: the model may hold Python code.

    Attributes:
        ratios: kernel -> the ratio that it ends with, without those that are left whole.

    Raises:
        InputError: for arguments or a network that cannot be used.
        ValueError: for numbers of steps that cannot be, see `due_steps`.
    """

    def __init__(  # noqa: PLR0913  what a loop has to say
        self,
        model: keras.Model,
        prune_dict: float | Mapping[str, float] | str | os.PathLike[str] | None = None,
        *,
        pretrain_step: int = 0,
        sparse_step: int = 1,
        frequency: int = 1,
        progression: str = "cubic",
        criterion: str = "magnitude",
        granularity: str = "element",
        allow_unsafe: bool = False,
    ) -> None:
        super().__init__(model)
        self._due = dict(due_steps(pretrain_step, sparse_step, frequency))
        self._progression = _chosen(PROGRESSIONS, progression, "progression")
        self._criterion = _chosen(SCORES, criterion, "criterion")
        self._granularity = _granularity(granularity)
        self._weights = LiveWeights(model, allow_unsafe=allow_unsafe)
        self._all = kernel_layers(self._weights.graph)
        self.ratios = _ratios(self._all, prune_dict, self._granularity)
        self._kernels = [kernel for kernel in self._all if kernel.name in self.ratios]
        self._masks = {
            (kernel.layer, weight): keras.Variable(
                np.ones(shape, bool), dtype="bool", trainable=False, name="stays"
            )
            for kernel in self._kernels
            for weight, shape in zip(kernel.weights, kernel.shapes, strict=True)
        }
        # Summed over batches; variables, for training that is saved and resumed.
        self._gradients = {
            key: keras.Variable(np.zeros(mask.shape, np.float32), trainable=False, name="slopes")
            for key, mask in self._masks.items()
            if self._criterion.needs_gradients
        }
        self._num_batches = keras.Variable(0, dtype="int64", trainable=False, name="batches")
        self._hold = traced(self._zero_removed)  # one call a step, however many kernels

    @property
    def variables(self) -> list[keras.Variable]:
        """See `OwnLoop`."""
        sums = [*self._gradients.values(), self._num_batches] if self._gradients else []
        return [*super().variables, *self._masks.values(), *sums]

    def callback(self) -> keras.callbacks.Callback:
        """Make the callback for `model.fit`.

        Raises:
            InputError: for the criterion gradient: Keras shows callbacks no gradients.
        """
        if self._criterion.needs_gradients:
            raise InputError(
                "the criterion looks at gradients, which callbacks do not see: write the loop by "
                "hand and call prepare(gradients), or choose magnitude."
            )
        return super().callback()

    def prepare(self, gradients: Sequence[Any] | None = None) -> None:
        """Take up the gradients of a batch, after the backward pass and before the optimizer.

        Args:
            gradients: of `model.trainable_variables`, in this order; None where there is none. Not
                needed for the criterion magnitude.

        Raises:
            InputError: if the criterion needs them and there are none.
        """
        if not self._criterion.needs_gradients or self.num_steps >= max(self._due):
            return
        if gradients is None:
            raise InputError("the criterion needs gradients: call prepare(gradients).")
        given = {
            id(variable): gradient
            for variable, gradient in zip(self.model.trainable_variables, gradients, strict=True)
        }
        for key in self._masks:
            variable = self._weights.variable(*key)
            gradient = given.get(id(variable))
            if gradient is not None:
                self._gradients[key].assign_add(np.asarray(gradient))
        self._num_batches.assign_add(1)

    def after_step(self, number: int) -> None:
        """Remove what is due, and keep zero what is."""
        if number in self._due:
            self.prune(self._due[number])
        else:
            self._hold()

    def prune(self, share: float = 1.0) -> None:
        """Choose the weights that stay and set the others to zero.

        Args:
            share: of the pruning steps that are done by then, in (0, 1]; see `PROGRESSIONS`.

        Raises:
            InputError: for weights that are not finite, and for the criterion gradient without
                `prepare`.
        """
        for kernel in self._kernels:
            weights = self._matrix(kernel, self._weights.value)
            scores = self._criterion.score(weights, self._mean_gradients(kernel))
            if not np.isfinite(scores).all():
                raise InputError(
                    f"the weights of {kernel.name!r} or their scores are not finite. Look at the "
                    "loss, or take a lower learning rate."
                )
            # What is gone does not come back where others, too, score zero.
            scores = np.where(self._matrix(kernel, self._mask), scores, -1.0)
            tiles = kernel.size // self._granularity.unit
            gone = round(self._progression(self.ratios[kernel.name], share) * tiles)
            left = max(tiles - gone, 1) * self._granularity.unit
            mask = make_mask(scores, left, self._granularity, kernel.num_channels)
            for key, stays in kernel.tensors(mask).items():
                self._masks[key].assign(stays)
        for each in (*self._gradients.values(), self._num_batches):
            each.assign(np.zeros(each.shape))
        self._hold()

    def _mask(self, layer: str, weight: str) -> np.ndarray:
        return np.asarray(self._masks[layer, weight])

    def masks(self) -> dict[tuple[str, str], np.ndarray]:
        """Say which weights stay: bool arrays by layer and weight."""
        return {key: np.asarray(mask) for key, mask in self._masks.items()}

    def sparse_rates(self) -> SparseRates:
        """Count the weights that are exactly zero now."""
        zeros = {
            kernel.name: int(np.sum(self._matrix(kernel, self._weights.value) == 0))
            for kernel in self._all
        }
        sizes = {kernel.name: kernel.size for kernel in self._all}
        return SparseRates(zeros, sizes, tuple(self.ratios))

    def _zero_removed(self) -> None:
        for key, mask in self._masks.items():
            variable = self._weights.variable(*key)
            zero = keras.ops.zeros((), variable.dtype)
            variable.assign(keras.ops.where(mask, variable, zero))

    def _mean_gradients(self, kernel: KernelLayer) -> np.ndarray | None:
        if not self._criterion.needs_gradients:
            return None
        number = int(self._num_batches.numpy())
        if not number:
            raise InputError(
                "the criterion has seen no gradients: call prepare(gradients) before step()."
            )
        return self._matrix(kernel, lambda *key: np.asarray(self._gradients[key]) / number)

    @staticmethod
    def _matrix(kernel: KernelLayer, value: Any) -> np.ndarray:
        arrays = {kernel.layer: {name: value(kernel.layer, name) for name in kernel.weights}}
        return kernel.matrix(arrays)


def _chosen(table: Mapping[str, Any], name: str, argument: str) -> Any:
    if name not in table:
        raise InputError(f"`{argument}`: unknown {name!r}. {nearest(name, table)}")
    return table[name]


def _granularity(text: str) -> Granularity:
    try:
        return parse_granularity(text)
    except ValueError as error:
        raise InputError(f"`granularity` {error} Received: {text!r}.") from None


def _ratios(
    kernels: Sequence[KernelLayer],
    given: float | Mapping[str, float] | str | os.PathLike[str] | None,
    granularity: Granularity,
) -> dict[str, float]:
    """Settle the ratio of each kernel from which weights are removed."""
    names = [kernel.name for kernel in kernels]
    if not names:
        raise InputError("no layer of the model has a kernel whose weights could be removed.")
    ratios = ratios_by_layer(_prune_dict(given, granularity), names)
    if not isinstance(given, (str, os.PathLike, Mapping)):  # nobody has named the layers
        for kernel in (kernel for kernel in kernels if kernel.is_depthwise):
            ratios.pop(kernel.name)
    ratios = {name: ratio for name, ratio in ratios.items() if ratio > 0}
    if not ratios:
        raise InputError(f"{_SOURCE} removes nothing. Give a layer a ratio above 0.")
    most = granularity.ratio if granularity.is_pattern else 1.0
    for kernel in (kernel for kernel in kernels if kernel.name in ratios):
        reason = granularity.why_not(kernel)
        if ratios[kernel.name] > most:
            reason = f"it removes {most:g}, the ratio is {ratios[kernel.name]:g}"
        if reason:
            raise InputError(
                f"`granularity` {granularity.text} does not fit {kernel.name!r}: {reason}. Give "
                f"that layer the ratio 0 in {_SOURCE}, or choose another."
            )
    return ratios


def _prune_dict(
    given: float | Mapping[str, float] | str | os.PathLike[str] | None, granularity: Granularity
) -> PruneDict:
    if given is None:
        given = granularity.ratio if granularity.is_pattern else _USUAL_RATIO
    if isinstance(given, (str, os.PathLike)):
        return read_prune_dict(given, "prune_dict")
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        given = {"*": given}
    return as_prune_dict(given, _SOURCE)
