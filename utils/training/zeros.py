"""Zeros that stay zeros: what a sparse network has not, training must not give it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from utils.training.wrapped_optimizer import WrappedOptimizer

# Variables of two and more dimensions that are no kernels: of attention, recurrent layers, PReLU.
_NO_KERNELS = frozenset({"bias", "alpha", "beta", "gamma"})


def sparse_kernels(variables: Sequence[keras.Variable]) -> tuple[int, ...]:
    """Find the kernels that have zeros.

    A kernel of nothing but zeros does not count: that is how some layers begin, so as to learn.

    Args:
        variables: those that will be trained.

    Returns:
        Indices of the kernels (two dimensions or more) in which some entries, not all, are exactly
        zero.

    Example:
        >>> sparse_kernels([keras.Variable([[1.0, 0.0]]), keras.Variable([[0.0, 0.0]])])
        (0,)
    """
    found = []
    for index, variable in enumerate(variables):
        if not may_be_sparse(variable):
            continue
        zeros = np.asarray(keras.ops.convert_to_numpy(variable)) == 0
        if zeros.any() and not zeros.all():
            found.append(index)
    return tuple(found)


def may_be_sparse(variable: keras.Variable) -> bool:
    """Tell whether zeros of a variable are weights that were removed: those of kernels are."""
    return len(variable.shape) >= 2 and variable.name not in _NO_KERNELS


class MaskedOptimizer(WrappedOptimizer):
    """Holds entries of some variables at exactly zero, whatever the inner optimizer does.

    Such an entry is as if it were not there: its gradient is zero before the step (it moves no
    momentum and adds nothing to a norm that gradients are clipped by) and its value after it. The
    masks are variables, so that they are saved and resumed; a recipe may change them as it trains.

    Args:
        inner: an optimizer that was not used before.
        indices: which of the trained variables have a mask.
        name: of the optimizer.

    Attributes:
        masks: bool variables by index, True where a weight is kept. They begin with what is not
            zero when the optimizer is built.
    """

    def __init__(
        self,
        inner: keras.optimizers.Optimizer,
        indices: Sequence[int],
        name: str | None = None,
    ) -> None:
        super().__init__(inner, name)
        self._indices = tuple(indices)
        self.masks: dict[int, keras.Variable] = {}

    def build_own(self, variables: Sequence[keras.Variable]) -> None:
        """Make the masks."""
        masks = {}
        for index in self._indices:
            variable = variables[index]
            masks[index] = self.add_variable(
                variable.shape, "ones", "bool", name=f"{variable.path.replace('/', '_')}_mask"
            )
            masks[index].assign(keras.ops.not_equal(variable, 0))
        self.masks = masks

    def before_step(self, gradients: list[Any], variables: Sequence[keras.Variable]) -> list[Any]:
        """Take the gradients away where nothing may grow."""
        return [
            gradient
            if gradient is None or self._mask(variable) is None
            else _masked(gradient, self._mask(variable))
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def after_step(self, variables: Sequence[keras.Variable]) -> None:
        """Set zeros again: weight decay, constraints and noise know of no mask."""
        for variable in variables:
            mask = self._mask(variable)
            if mask is not None:
                variable.assign(_masked(variable, mask))

    def _mask(self, variable: keras.Variable) -> keras.Variable | None:
        return self.masks.get(self._get_variable_index(variable))

    def get_config(self) -> dict[str, Any]:
        """Describe the optimizer; its masks are its variables."""
        return {**super().get_config(), "indices": self._indices}


def _masked(values: Any, mask: keras.Variable) -> Any:
    values = keras.ops.convert_to_tensor(values)  # an embedding's gradient comes in slices
    return keras.ops.where(mask, values, keras.ops.zeros_like(values))
