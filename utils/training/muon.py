"""The optimizer Muon for convolutions: SGD whose steps are orthogonal matrices.

The momentum of a kernel, as a matrix [positions x inputs, outputs], has few large singular values
and many small ones. Muon sets them all to about 1, so that a step of the same size turns all
directions of the kernel, not a few of them far. Of the kernels of a pruned network, which have to
find their way in an epoch or three, more is learned at the same rate, and a high rate breaks less.

Reference:
    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/; the scale relative to the kernel's norm: You,
    Gitman & Ginsburg, "Large Batch Training of Convolutional Networks", 2017, arXiv:1708.03888.

Departs from Muon: a step is scaled by the kernel's own root mean square, so that one rate fits
layers of all sizes and the rate of SGD fits too; all that is no such kernel is trained by SGD with
momentum, as the network was, instead of AdamW.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# Of the quintic a x + b x^3 + c x^5 whose iteration brings singular values in (0, 1] near 1.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_NUM_ITERATIONS = 5
_TINY = 1e-7
_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_FEWEST_INPUTS = 4  # a kernel that reads the 3 colours has no directions to balance


class Muon(keras.optimizers.SGD):
    """See the module; the other arguments are those of `keras.optimizers.SGD`.

    Args:
        learning_rate: a schedule, a constant or a callable.
        momentum: in [0, 1).
        kernels: paths of the variables whose steps are orthogonal, see `convolution_kernels`.
        **options: of `keras.optimizers.Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.02,
        momentum: float = 0.9,
        kernels: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, **options)
        self.kernels = tuple(kernels)
        self._turned: frozenset[int] = frozenset()  # places among the trained variables

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the momenta, and look up the kernels."""
        if not self.built:
            self._turned = frozenset(n for n, v in enumerate(variables) if v.path in self.kernels)
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Make the step of one variable."""
        index = self._get_variable_index(variable)
        if index not in self._turned or not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        momentum = self.momentums[index]
        self.assign(momentum, self.momentum * momentum + gradient)
        flat = ops.reshape(gradient + self.momentum * momentum, (-1, variable.shape[-1]))
        turned = ops.reshape(orthogonalized(flat), variable.shape)
        self.assign_sub(variable, rate * _scale(variable) * turned)

    def get_config(self) -> dict[str, Any]:
        """Describe it."""
        return {**super().get_config(), "kernels": list(self.kernels)}


def convolution_kernels(model: keras.Model) -> tuple[str, ...]:
    """List the kernels that Muon trains: of convolutions between feature maps.

    Those of depthwise convolutions have a matrix for each channel, those of attention one for each
    head: they are none.

    Args:
        model: built network; layers in nested models and in other layers count.

    Returns:
        Paths of variables.
    """
    layers = model._flatten_layers(include_self=False)
    kernels = (layer.kernel for layer in layers if isinstance(layer, _CONVOLUTIONS) and layer.built)
    return tuple(
        kernel.path
        for kernel in kernels
        if kernel.shape[-2] >= _FEWEST_INPUTS and kernel.shape[-1] > 1
    )


def orthogonalized(matrix: Any) -> Any:
    """Bring all singular values of a matrix near 1 (0.7 to 1.2), by a Newton-Schulz iteration.

    Args:
        matrix: tensor [m, n].

    Returns:
        Tensor [m, n]: about U V^T of the singular value decomposition U S V^T; zero for zero.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if is_tall else matrix
    x = x / (ops.sqrt(ops.sum(ops.square(x))) + _TINY)
    for _ in range(_NUM_ITERATIONS):
        gram = x @ ops.transpose(x)
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return ops.transpose(x) if is_tall else x


def _scale(variable: Any) -> Any:
    """Give a kernel's norm over that of an orthogonal matrix of its shape."""
    size = 1
    for length in variable.shape:
        size *= length
    outputs = variable.shape[-1]
    norm = ops.sqrt(ops.sum(ops.square(variable)))
    return norm / min(outputs, size // outputs) ** 0.5
