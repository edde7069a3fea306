"""Masks on a network that is being trained: decided, laid on the weights, held.

`Masking` is the only object that writes variables: at an update it scores the weights as they are,
decides the masks, sets what goes to exactly zero and hands the masks to the optimizer's wrapper,
which holds them at zero at every step (`utils/training/zeros.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.kernels.layers import KernelLayer
from learners.live_weights import LiveWeights
from learners.sparsity.masks import Granularity, make_mask
from learners.sparsity.score import Criterion
from learners.weight_sparsification.allocate import Counts, by_rank
from learners.weight_sparsification.schedule import Schedule
from utils.training.zeros import MaskedOptimizer, sparse_kernels

DECAY = 0.99  # of the running mean of gradients
_GONE = -1.0  # score of a weight that is zero already; others have at least 0


class Masking:
    """Decides the masks of a network's kernels; see the module.

    Args:
        model: the network, whose weights are changed.
        layers: its kernels that are pruned.
        criterion: scores weights.
        granularity: what goes together.
        start: layer name -> weights that stay before the schedule.
        final: layer name -> weights that stay after it; with `ranked` only their sum counts.
        ranked: rank the weights of all layers together.
        allow_unsafe: the network may hold Python code.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: Sequence[KernelLayer],
        criterion: Criterion,
        granularity: Granularity,
        *,
        start: Mapping[str, int],
        final: Mapping[str, int],
        ranked: bool = False,
        allow_unsafe: bool = False,
    ) -> None:
        self._weights = LiveWeights(model, allow_unsafe=allow_unsafe)
        self._layers = layers
        self._criterion = criterion
        self._grain = granularity
        self._start, self._final = dict(start), dict(final)
        self._ranked = ranked
        self._trained = {id(variable): n for n, variable in enumerate(model.trainable_variables)}

    @property
    def indices(self) -> list[int]:
        """Places of the kernels among the trained variables."""
        found = (self._trained.get(id(self.variable(*key))) for key in self.kernels())
        return [index for index in found if index is not None]

    def variable(self, layer: str, weight: str) -> keras.Variable:
        """Look a variable up."""
        return self._weights.variable(layer, weight)

    def update(
        self,
        left: float,
        gradients: Mapping[tuple[str, str], np.ndarray] | None = None,
        optimizer: MaskedOptimizer | None = None,
    ) -> None:
        """Decide the masks anew and lay them on; a weight that is zero by now stays so.

        Args:
            left: share, in [0, 1], of what will go that is still there, see `schedule.py`.
            gradients: (layer, weight) -> mean gradient, for a criterion that needs them.
            optimizer: holds the zeros from now on; None while nothing trains.
        """
        scores = {layer.name: self._scores(layer, gradients) for layer in self._layers}
        if not all(np.isfinite(each.max()) for each in scores.values()):
            return  # diverged, as training will say: no mask may hide that behind zeros
        counts = self._counts(left, scores)
        for layer in self._layers:
            mask = make_mask(
                scores.pop(layer.name), counts[layer.name], self._grain, layer.num_channels
            )
            for key, part in layer.tensors(mask).items():
                self._lay_on(self.variable(*key), part, optimizer)

    def gradients(self, optimizer: SparseOptimizer) -> dict[tuple[str, str], np.ndarray] | None:
        """Give an optimizer's means of gradients by (layer, weight), None where it keeps none."""
        if not optimizer.means:
            return None
        places = {key: self._trained[id(self.variable(*key))] for key in self.kernels()}
        return {key: np.asarray(optimizer.means[place]) for key, place in places.items()}

    def kernels(self) -> list[tuple[str, str]]:
        """Name the kernels that are pruned: (layer, weight)."""
        return [(layer.layer, weight) for layer in self._layers for weight in layer.weights]

    def _scores(
        self, layer: KernelLayer, gradients: Mapping[tuple[str, str], np.ndarray] | None
    ) -> np.ndarray:
        values = {weight: self._weights.value(layer.layer, weight) for weight in layer.weights}
        slopes = None
        if gradients is not None:
            own = {weight: gradients[layer.layer, weight] for weight in layer.weights}
            slopes = layer.matrix({layer.layer: own})
        weights = layer.matrix({layer.layer: values})
        scores = self._criterion.score(weights, slopes)
        if self._criterion.needs_gradients and self._grain.unit == 1:
            np.putmask(scores, weights == 0, _GONE)  # behind weights that have no gradient now
        return scores

    def _counts(self, left: float, scores: Mapping[str, np.ndarray]) -> Counts:
        """Say how many weights of each layer stay now."""
        counts = {
            name: last + round((self._start[name] - last) * left)
            for name, last in self._final.items()
        }
        if not self._ranked:
            return counts
        total, tile = sum(counts.values()), self._grain.unit
        if tile == 1:
            return by_rank(scores, total)
        sums = {layer.name: self._tile_scores(scores[layer.name]) for layer in self._layers}
        return {name: tile * n for name, n in by_rank(sums, total // tile).items()}

    def _tile_scores(self, scores: np.ndarray) -> np.ndarray:
        height, width = self._grain.inputs, self._grain.outputs
        shape = scores.shape[0] // height, height, scores.shape[1] // width, width
        return scores.reshape(shape).sum(axis=(1, 3))

    def _lay_on(
        self, variable: keras.Variable, mask: np.ndarray, optimizer: MaskedOptimizer | None
    ) -> None:
        values = np.where(mask, np.asarray(variable), np.zeros((), variable.dtype))
        variable.assign(values)
        index = self._trained.get(id(variable))
        if optimizer is not None and index in optimizer.masks:
            # Zeros that the network came with, too: a mask with room for them lets them grow.
            optimizer.masks[index].assign(values != 0)


class SparseOptimizer(MaskedOptimizer):
    """Holds weights at zero and, where asked, keeps a running mean of the gradients.

    Args:
        inner: an optimizer that was not used before.
        indices: which of the trained variables have a mask.
        keeps_gradients: keep the means, of those.
        name: of the optimizer.

    Attributes:
        means: float variables by index, `DECAY` mean of the gradients.
    """

    def __init__(
        self,
        inner: keras.optimizers.Optimizer,
        indices: Sequence[int],
        *,
        keeps_gradients: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(inner, indices, name)
        self._keeps_gradients = keeps_gradients
        self.means: dict[int, keras.Variable] = {}

    def build_own(self, variables: Sequence[keras.Variable]) -> None:
        """Make masks and means."""
        super().build_own(variables)
        if self._keeps_gradients:
            self.means = {
                index: self.add_variable(variables[index].shape, name=f"gradient_mean_{index}")
                for index in self._indices
            }

    def before_step(self, gradients: list[Any], variables: Sequence[keras.Variable]) -> list[Any]:
        """Take the gradients into the means, then away where nothing may grow."""
        for gradient, variable in zip(gradients, variables, strict=True):
            mean = self.means.get(self._get_variable_index(variable))
            if mean is not None and gradient is not None:
                slope = keras.ops.convert_to_tensor(gradient)
                mean.assign(DECAY * mean + (1.0 - DECAY) * slope)
        return super().before_step(gradients, variables)

    def get_config(self) -> dict[str, Any]:
        """Describe the optimizer."""
        return {**super().get_config(), "keeps_gradients": self._keeps_gradients}


class MaskUpdates(keras.callbacks.Callback):
    """Has the masks decided anew when the schedule says so.

    Args:
        masking: decides.
        schedule: says when, and how far.
        optimizer: holds the zeros.
    """

    def __init__(self, masking: Masking, schedule: Schedule, optimizer: SparseOptimizer) -> None:
        super().__init__()
        self._masking = masking
        self._schedule = schedule
        self._optimizer = optimizer

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """After a step."""
        step = int(self._optimizer.iterations)
        if self._schedule.is_update(step):
            gradients = self._masking.gradients(self._optimizer)
            self._masking.update(self._schedule.left(step), gradients, self._optimizer)


def masked_optimizer(
    inner: keras.optimizers.Optimizer, model: keras.Model, masking: Masking, *, gradients: bool
) -> SparseOptimizer:
    """Wrap an optimizer so that it holds zeros: those decided, and those the network came with.

    Args:
        inner: an optimizer that was not used before.
        model: the network.
        masking: of its kernels.
        gradients: keep a running mean of them.
    """
    indices = sorted({*masking.indices, *sparse_kernels(model.trainable_variables)})
    return SparseOptimizer(inner, indices, keeps_gradients=gradients)
