"""A layer that quantizes activations: of a network that is trained with them, or only scored."""

from __future__ import annotations

import math
from typing import Any

import keras

from utils.quantization.grid import SMALLEST_SCALE, Grid, rounded
from utils.quantization.learned_step import gradient_factor

OP = "Flowpress>ActivationQuantizer"
"""Of its nodes in a graph."""
NO_BITS = 32


class _Positive(keras.constraints.Constraint):
    """Keeps a scale, whatever step an optimizer makes, where it can be divided by."""

    def __call__(self, w: Any) -> Any:
        return keras.ops.maximum(w, SMALLEST_SCALE)


@keras.saving.register_keras_serializable("Flowpress")
class ActivationQuantizer(keras.layers.Layer):
    """Rounds a tensor to one grid of equal steps; the scale is learned (LSQ) or stays.

    With s the scale and z the zero point, `s (clip(round(x / s) + z, 0, 2^b - 1) - z)`. Gradients
    are those of `learned_step.py`: straight through between the ends, 0 beyond for x; for s its
    equation (1), times `1 / sqrt(n Q_P)`, n the values of a sample.

    Args:
        bits: of an activation, 1 to 16; 32 lets everything pass as it is.
        zero_point: z, in [0, 2^bits): 0 behind a ReLU.
        learned: the scale is trained with the network.
        **settings: of every Keras layer.

    Attributes:
        scale: s, one float32 weight, which training keeps positive; 1 until it is assigned.
    """

    def __init__(
        self, bits: int = 8, zero_point: int = 0, learned: bool = True, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.bits, self.zero_point, self.learned = bits, zero_point, learned
        self._grid = None if bits == NO_BITS else Grid(bits=bits)
        if self._grid is not None and not 0 <= zero_point < 2**bits:
            raise ValueError(
                f"`zero_point` must be in [0, {2**bits}) for {bits} bits. Received: {zero_point}."
            )

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        self.scale = self.add_weight(
            name="scale",
            shape=(),
            initializer="ones",
            trainable=self.learned,
            constraint=_Positive(),
            autocast=False,  # a scale of half precision would be too coarse
        )

    def call(self, inputs: Any) -> Any:
        """Quantize."""
        if self._grid is None:
            return inputs
        ops = keras.ops
        values = ops.cast(inputs, "float32")
        sizes = [size for size in inputs.shape[1:] if size is not None]
        factor = float(gradient_factor(math.prod(sizes), self._grid, self.zero_point))
        scale = ops.convert_to_tensor(self.scale)
        # The second parts are exactly 0 and hand gradients on: values stay those of the grid.
        scale = ops.stop_gradient(scale) + factor * (scale - ops.stop_gradient(scale))
        # Rounding passes gradients as if it were not there; clipping passes none beyond the ends.
        lowest, highest = (end - self.zero_point for end in (self._grid.lowest, self._grid.highest))
        steps = ops.clip(values / scale, lowest, highest)
        settled = rounded(ops.stop_gradient(steps), 1.0, float(self.zero_point), self._grid, ops)
        steps = settled + (steps - ops.stop_gradient(steps))
        return ops.cast(steps * scale, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Describe the layer."""
        own = {"bits": self.bits, "zero_point": self.zero_point, "learned": self.learned}
        return {**super().get_config(), **own}
