"""Training of variables that may only take quantized values: the float values behind them.

A variable that is trained holds q(v) at any time between two steps, where v is its *latent* float
value, which the optimizer keeps. The forward pass and the gradient are those at q(v); a step moves
v by that gradient (the straight-through estimator), and q(v) is written anew. So the network is an
ordinary one, whatever its layers are, and what is saved of it is on its grid or codebook.

Reference:
    Hubara, Courbariaux, Soudry, El-Yaniv & Bengio, "Quantized Neural Networks", 2016,
    arXiv:1609.07061 (latent weights, straight-through); Bengio, Leonard & Courville, 2013,
    arXiv:1308.3432.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from utils.training.wrapped_optimizer import WrappedOptimizer, layers_of

Parameters = Mapping[str, Any]
"""Name -> tensor: what a quantizer learns beside the weights (a scale, a codebook)."""


class Quantizer(Protocol):
    """Puts one variable on a grid or a codebook, parts of which it may learn.

    All methods are pure functions of tensors, written in `keras.ops`: they are traced into the
    training step.
    """

    @property
    def parameters(self) -> Mapping[str, np.ndarray]:
        """Where the learned parameters begin: name -> float32 array; empty if nothing is learned.

        Number, names and shapes must not depend on what was trained: a resumed run makes the
        quantizer anew and then restores the values.
        """

    def quantize(self, latent: Any, parameters: Parameters) -> Any:
        """Give q(v).

        Args:
            latent: v, float, shaped like the variable.
            parameters: the learned parameters as they are now.

        Returns:
            Shaped and typed like `latent`; `quantize` of that again gives it back.
        """

    def gradients(
        self, gradient: Any, latent: Any, parameters: Parameters
    ) -> tuple[Any | None, Mapping[str, Any]]:
        """Derive the gradients of what is learned from the gradient at the quantized values.

        They must be linear in `gradient`, which may be scaled (mixed precision).

        Args:
            gradient: of the loss by q(v), shaped like the variable.
            latent: v.
            parameters: as they are now.

        Returns:
            The gradient that moves v (None: v is not trained), and the parameters' by name; those
            without one stay as they are.
        """

    def settled(self, latent: Any, parameters: Parameters) -> Mapping[str, Any]:
        """Give, after a step, values of parameters that must be changed: signs, orders, refits.

        Args:
            latent: v after the step.
            parameters: after the step.

        Returns:
            New values by name; those that are not in it stay.
        """


class LatentOptimizer(WrappedOptimizer):
    """Lets another optimizer train the latent values of quantized variables, see the module.

    The quantizers' parameters are trained by the inner optimizer as well, without its weight decay.
    Latent values, parameters and masks are variables of this optimizer: they are saved and resumed
    with it.

    Between two steps a wrapper around it sees quantized values. What must stay zero is given as
    `absent`, not to a `MaskedOptimizer`: rounding makes zeros of its own, which may come back.

    Args:
        inner: an optimizer that was not used before.
        quantizers: index of a trained variable -> its quantizer.
        latents: index -> where the latent value begins, float, shaped like the variable; without
            it at the variable's own value.
        absent: index -> boolean, shaped like the variable; True is zero and stays so.
        name: of the optimizer.

    Attributes:
        latents: variables by index.
        parameters: by index, variables by the quantizer's name for them.
    """

    def __init__(
        self,
        inner: keras.optimizers.Optimizer,
        quantizers: Mapping[int, Quantizer],
        *,
        latents: Mapping[int, np.ndarray] | None = None,
        absent: Mapping[int, np.ndarray] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(inner, name)
        self._quantizers = dict(quantizers)
        self._first_latents = dict(latents or {})
        self._absent = dict(absent or {})
        self.latents: dict[int, keras.Variable] = {}
        self.parameters: dict[int, dict[str, keras.Variable]] = {}
        self._present: dict[int, keras.Variable] = {}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the variables of both optimizers; quantize those that are trained."""
        if self.built:
            return
        for index, quantizer in self._quantizers.items():
            self._build_one(index, variables[index], quantizer)
        own = self._own_parameters()
        for optimizer in layers_of(self.inner_optimizer):
            if own and not isinstance(optimizer, WrappedOptimizer):
                optimizer.exclude_from_weight_decay(var_list=own)
        self.inner_optimizer.build([*variables, *own])
        keras.optimizers.Optimizer.build(self, variables)

    def _build_one(self, index: int, variable: keras.Variable, quantizer: Quantizer) -> None:
        stem = variable.path.replace("/", "_")
        self.latents[index] = self.add_variable(
            variable.shape, "zeros", variable.dtype, name=f"{stem}_latent"
        )
        self.latents[index].assign(self._first_latents.get(index, variable))
        # One for each, needed or not: which are needed cannot be seen any more in a resumed run.
        self._present[index] = self.add_variable(
            variable.shape, "ones", "bool", name=f"{stem}_present"
        )
        if index in self._absent:
            self._present[index].assign(np.logical_not(self._absent[index]))
        found = {}
        for name, value in quantizer.parameters.items():
            found[name] = self.add_variable(value.shape, "zeros", "float32", name=f"{stem}_{name}")
            found[name].assign(value)
        self.parameters[index] = found
        self._write(index, variable)

    def _own_parameters(self) -> list[keras.Variable]:
        return [variable for found in self.parameters.values() for variable in found.values()]

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        """Make a step of the latent values and the parameters, and quantize anew."""
        variables = list(
            self._trainable_variables if trainable_variables is None else trainable_variables
        )
        self.build(variables)
        gradients, stepped = list(grads), list(variables)
        quantized: list[tuple[int, keras.Variable]] = []
        for place, variable in enumerate(variables):
            index = self._get_variable_index(variable)
            if index not in self._quantizers:
                continue
            quantized.append((index, variable))
            if gradients[place] is None:
                continue
            gradients[place], own = self._gradients(index, gradients[place])
            gradients += own.values()
            stepped += [self.parameters[index][name] for name in own]
        for index, variable in quantized:
            variable.assign(self.latents[index])
        self.inner_optimizer.apply(gradients, stepped)
        for index, variable in quantized:
            self._settle(index, variable)

    def _gradients(self, index: int, gradient: Any) -> tuple[Any | None, Mapping[str, Any]]:
        gradient = self._masked(index, keras.ops.convert_to_tensor(gradient))
        latent, own = self._quantizers[index].gradients(
            gradient, self.latents[index].value, _values(self.parameters[index])
        )
        return (None if latent is None else self._masked(index, latent)), own

    def _settle(self, index: int, variable: keras.Variable) -> None:
        self.latents[index].assign(self._masked(index, variable.value))
        latent, found = self.latents[index].value, self.parameters[index]
        for name, value in self._quantizers[index].settled(latent, _values(found)).items():
            found[name].assign(value)
        self._write(index, variable)

    def _write(self, index: int, variable: keras.Variable) -> None:
        """Give a variable its quantized value."""
        values = self._quantizers[index].quantize(
            self.latents[index].value, _values(self.parameters[index])
        )
        variable.assign(self._masked(index, values))

    def _masked(self, index: int, values: Any) -> Any:
        return keras.ops.where(self._present[index], values, keras.ops.zeros_like(values))

    def get_config(self) -> dict[str, Any]:
        """Describe the optimizer; latent values and parameters are its variables."""
        return {**super().get_config(), "quantizers": self._quantizers}


def _values(parameters: Mapping[str, keras.Variable]) -> dict[str, Any]:
    return {name: variable.value for name, variable in parameters.items()}
