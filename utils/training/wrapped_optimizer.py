"""Optimizers around another one: the base of all that add something to every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import keras


class WrappedOptimizer(keras.optimizers.Optimizer):
    """An optimizer that lets another one make the steps.

    A subclass overrides `build_own` (variables made there with `add_variable` are saved and resumed
    with the optimizer's), `before_step` and `after_step`. Learning rate, number of steps, weight
    decay, clipping and the scale of the loss are the inner optimizer's. Wrappers may be nested, and
    Keras' `LossScaleOptimizer` may lie around or inside them.

    Args:
        inner: an optimizer that was not used before.
        name: of the optimizer.
    """

    def __init__(self, inner: keras.optimizers.Optimizer, name: str | None = None) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner

    def build_own(self, variables: Sequence[keras.Variable]) -> None:
        """Make the wrapper's variables for those that will be trained; here none."""

    def before_step(self, gradients: list[Any], variables: Sequence[keras.Variable]) -> list[Any]:
        """Change the gradients (None where a variable has none); here they stay as they are."""
        del variables
        return gradients

    def after_step(self, variables: Sequence[keras.Variable]) -> None:
        """Change the trained variables after the step; here they stay as they are."""

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the variables of both optimizers."""
        if self.built:
            return
        self.build_own(variables)
        self.inner_optimizer.build(variables)
        super().build(variables)

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        """Make a step."""
        variables = list(
            self._trainable_variables if trainable_variables is None else trainable_variables
        )
        self.build(variables)
        self.inner_optimizer.apply(self.before_step(list(grads), variables), variables)
        self.after_step(variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """The wrapper's own variables, then the inner optimizer's."""
        return [*self._variables, *self.inner_optimizer.variables]

    @property
    def iterations(self) -> Any:
        """Number of steps made."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """Of the next step."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    def scale_loss(self, loss: Any) -> Any:
        """Scale the loss as the inner optimizer wants it."""
        return self.inner_optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Let the inner optimizer end the training."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """Describe both optimizers."""
        inner = keras.saving.serialize_keras_object(self.inner_optimizer)
        return {"name": self.name, "inner": inner}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """Make both optimizers from their description."""
        inner = keras.saving.deserialize_keras_object(config["inner"], custom_objects)
        return cls(**{**config, "inner": inner})


def layers_of(optimizer: keras.optimizers.Optimizer) -> Iterator[keras.optimizers.Optimizer]:
    """Yield an optimizer and, where it wraps one, those inside it."""
    while optimizer is not None:
        yield optimizer
        optimizer = getattr(optimizer, "inner_optimizer", None)


def optimizer_name(optimizer: keras.optimizers.Optimizer) -> str:
    """Name an optimizer with all that it wraps.

    Example:
        >>> optimizer_name(WrappedOptimizer(keras.optimizers.SGD()))
        'WrappedOptimizer(SGD)'
    """
    names = [type(layer).__name__ for layer in layers_of(optimizer)]
    return "(".join(names) + ")" * (len(names) - 1)


def with_loss_scale(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Scale the loss where Keras' policy is mixed_float16, as `compile` would.

    Here it is done before the optimizer's variables are made, so that the scale is one of them and
    a resumed run goes on with it.
    """
    scales = any(
        isinstance(layer, keras.optimizers.LossScaleOptimizer) for layer in layers_of(optimizer)
    )
    if scales or keras.config.dtype_policy().name != "mixed_float16":
        return optimizer
    for layer in layers_of(optimizer):
        layer.loss_scale_factor = None  # else gradients would be divided by it as well
    return keras.optimizers.LossScaleOptimizer(optimizer)
