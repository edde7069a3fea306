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

import dataclasses
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


class Unquantized:
    """Implements `Quantizer` for a variable that is not quantized, but has zeros to keep."""

    parameters: Mapping[str, np.ndarray] = {}

    def quantize(self, latent: Any, parameters: Parameters) -> Any:
        """Give the values as they are."""
        return latent

    def gradients(
        self, gradient: Any, latent: Any, parameters: Parameters
    ) -> tuple[Any, Mapping[str, Any]]:
        """Pass the gradient on."""
        return gradient, {}

    def settled(self, latent: Any, parameters: Parameters) -> Mapping[str, Any]:
        """Change nothing."""
        return {}


@dataclasses.dataclass(frozen=True, eq=False)
class Quantized:
    """A variable that is trained by latent values.

    Attributes:
        variable: of the network.
        quantizer: its quantizer.
        latent: where the latent value begins, float, shaped like the variable; None = at the
            variable's own value.
        absent: boolean, shaped like the variable; True is zero and stays so. None = nothing is.
    """

    variable: keras.Variable
    quantizer: Quantizer
    latent: np.ndarray | None = None
    absent: np.ndarray | None = None


class LatentOptimizer(WrappedOptimizer):
    """Lets another optimizer train the latent values of quantized variables, see the module.

    The quantizers' parameters are trained by the inner optimizer as well, without its weight decay.
    Latent values, parameters and masks are variables of this optimizer: they are saved and resumed
    with it.

    Between two steps a wrapper around it sees quantized values. What must stay zero is given as
    `absent`, not to a `MaskedOptimizer`: rounding makes zeros of its own, which may come back.

    Args:
        inner: an optimizer that was not used before.
        quantized: the variables that it trains so; all others are the inner optimizer's.
        name: of the optimizer.

    Attributes:
        parameters: by a variable's path, the learned parameters by the quantizer's names.
        latents: by a variable's path, its latent values.

    Raises:
        ValueError: on `build`, if one of them is not among the variables that are trained.
    """

    def __init__(
        self,
        inner: keras.optimizers.Optimizer,
        quantized: Sequence[Quantized],
        name: str | None = None,
    ) -> None:
        super().__init__(inner, name)
        self._quantized = tuple(quantized)
        self._trained: dict[int, _Trained] = {}

    @property
    def parameters(self) -> dict[str, dict[str, keras.Variable]]:
        """See the class."""
        return {each.variable.path: each.parameters for each in self._trained.values()}

    @property
    def latents(self) -> dict[str, keras.Variable]:
        """See the class."""
        return {each.variable.path: each.latent for each in self._trained.values()}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the variables of both optimizers; quantize those that are trained."""
        if self.built:
            return
        places = {id(variable): index for index, variable in enumerate(variables)}
        for each in self._quantized:
            if id(each.variable) not in places:
                raise ValueError(f"{each.variable.path!r} is not among the trained variables.")
            self._trained[places[id(each.variable)]] = self._made(each)
        own = [v for each in self._trained.values() for v in each.parameters.values()]
        for optimizer in layers_of(self.inner_optimizer):
            if own and not isinstance(optimizer, WrappedOptimizer):
                optimizer.exclude_from_weight_decay(var_list=own)
        self.inner_optimizer.build([*variables, *own])
        keras.optimizers.Optimizer.build(self, variables)

    def _made(self, each: Quantized) -> _Trained:
        variable, stem = each.variable, each.variable.path.replace("/", "_")
        latent = self.add_variable(variable.shape, "zeros", variable.dtype, name=f"{stem}_latent")
        latent.assign(variable if each.latent is None else each.latent)
        # Made whether needed or not: a resumed run could not tell any more.
        present = self.add_variable(variable.shape, "ones", "bool", name=f"{stem}_present")
        if each.absent is not None:
            present.assign(np.logical_not(each.absent))
        parameters = {}
        for name, value in each.quantizer.parameters.items():
            parameters[name] = self.add_variable(
                value.shape, "zeros", "float32", name=f"{stem}_{name}"
            )
            parameters[name].assign(value)
        made = _Trained(variable, each.quantizer, latent, present, parameters)
        made.write()
        return made

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        """Make a step of the latent values and the parameters, and quantize anew."""
        variables = list(
            self._trainable_variables if trainable_variables is None else trainable_variables
        )
        self.build(variables)
        stepped: list[tuple[Any, keras.Variable]] = []
        quantized = []
        for gradient, variable in zip(grads, variables, strict=True):
            trained = self._trained.get(self._get_variable_index(variable))
            if trained is None:
                stepped.append((gradient, variable))
                continue
            quantized.append(trained)
            stepped += [] if gradient is None else trained.steps(gradient)
        for trained in quantized:
            trained.variable.assign(trained.latent)
        self.inner_optimizer.apply([g for g, _ in stepped], [v for _, v in stepped])
        for trained in quantized:
            trained.settle()

    def get_config(self) -> dict[str, Any]:
        """Describe the optimizer; latent values and parameters are its variables."""
        return {**super().get_config(), "quantized": self._quantized}


@dataclasses.dataclass(frozen=True, eq=False)
class _Trained:
    """One quantized variable with all that belongs to it."""

    variable: keras.Variable
    quantizer: Quantizer
    latent: keras.Variable
    present: keras.Variable
    parameters: dict[str, keras.Variable]

    def steps(self, gradient: Any) -> list[tuple[Any, keras.Variable]]:
        """Give pairs of a gradient and the variable that it moves."""
        gradient = self._masked(keras.ops.convert_to_tensor(gradient))
        moves, own = self.quantizer.gradients(gradient, self.latent.value, self._values())
        pairs = [(value, self.parameters[name]) for name, value in own.items()]
        return pairs if moves is None else [(self._masked(moves), self.variable), *pairs]

    def settle(self) -> None:
        """Take up what a step made of the variable, and quantize it."""
        self.latent.assign(self._masked(self.variable.value))
        changed = self.quantizer.settled(self.latent.value, self._values())
        for name, value in changed.items():
            self.parameters[name].assign(value)
        self.write()

    def write(self) -> None:
        """Give the variable its quantized value."""
        values = self.quantizer.quantize(self.latent.value, self._values())
        self.variable.assign(self._masked(values))

    def _values(self) -> dict[str, Any]:
        return {name: variable.value for name, variable in self.parameters.items()}

    def _masked(self, values: Any) -> Any:
        return keras.ops.where(self.present, values, keras.ops.zeros_like(values))
