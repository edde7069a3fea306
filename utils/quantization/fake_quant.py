"""Layers that compute in float what an int8 file computes in integers, by TensorFlow's own ops.

The converter knows those ops (`fake_quant_with_min_max_vars` and its kind) and takes scales from
them; an own rounding would leave the file in float. Both layers are registered: a network that
holds them is saved and loaded without Python code.

A range (least, greatest) of b bits stands for the grid with the step `(greatest - least) /
(2^b - 1)` that holds 0; `on_grid` moves the ends so that 0 lies on it exactly. TensorFlow does the
same in each call, but where 0 would lie halfway between two steps, it and the converter may take
different ones: a network that is deployed has ranges that are on the grid already.

Reference:
    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
    Only Inference", CVPR 2018, arXiv:1712.05877, section 3 (simulated quantization, moving
    averages of ranges).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from utils.quantization.activation import NO_BITS
from utils.quantization.grid import Grid, Range, scale

RANGE_OP = "Flowpress>FakeQuant"
KERNEL_OP = "Flowpress>FakeQuantKernel"
Update = Literal["none", "moving_average", "learned"]
DECAY = 0.99  # of moving averages, per step


def on_grid(least: float, greatest: float, bits: int = 8) -> tuple[float, float]:
    """Widen a range so that 0 lies on its grid.

    Args:
        least: the lower end.
        greatest: the upper end; both may have one sign, the range then begins at 0.
        bits: of the grid.

    Returns:
        Ends, float, `least <= 0 <= greatest`.

    Example:
        >>> on_grid(-1.0, 2.0, bits=2)
        (-1.0, 2.0)
        >>> on_grid(-1.0, 1.0, bits=2)
        (-1.0, 2.0)
    """
    ends = Range(np.array([min(least, 0.0)]), np.array([max(greatest, 0.0)]))
    chosen = scale(ends, Grid(bits=bits))
    step, zero = float(chosen.scale[0]), int(chosen.zero_point[0])
    return -zero * step, (2**bits - 1 - zero) * step


@keras.saving.register_keras_serializable("Flowpress")
class FakeQuant(keras.layers.Layer):
    """Rounds a tensor to the grid of a range. Called several times, it is one range for all.

    Gradients pass between the ends; beyond them they go to the end (of `learned` ranges).

    Args:
        bits: of a value, 2 to 16; 32 lets everything pass as it is.
        update: what training does to the range: nothing, a moving average of the ends of each
            batch, or gradients.
        decay: of the moving average: what stays of it with each batch, in [0, 1).
        **settings: of every Keras layer.

    Attributes:
        least: lower end, one float32 weight, <= 0.
        greatest: upper end, one float32 weight, >= 0.
    """

    def __init__(
        self, bits: int = 8, update: Update = "none", decay: float = DECAY, **settings: Any
    ) -> None:
        super().__init__(**settings)
        if update not in ("none", "moving_average", "learned"):
            raise ValueError(
                f"`update` must be 'none', 'moving_average' or 'learned'. Received: {update!r}."
            )
        self.bits, self.update, self.decay = bits, update, decay

    def build(self, input_shape: Any) -> None:
        """Make the range."""
        for name, value in (("least", 0.0), ("greatest", 1.0)):
            weight = self.add_weight(
                name=name,
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=self.update == "learned",
                autocast=False,
            )
            setattr(self, name, weight)

    def compute_output_spec(self, inputs: Any, training: Any = None) -> Any:
        """Give the shape of the input."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Quantize."""
        if self.bits == NO_BITS:
            return inputs
        values = tf.cast(inputs, tf.float32)
        if training and self.update == "moving_average":
            self._follow(values)
        settled = tf.quantization.fake_quant_with_min_max_vars(
            values, self.least.value, self.greatest.value, num_bits=self.bits
        )
        return tf.cast(settled, inputs.dtype)

    def _follow(self, values: Any) -> None:
        """Move the ends towards those of a batch."""
        values = tf.stop_gradient(values)
        ends = (
            (self.least, tf.minimum(tf.reduce_min(values), 0.0)),
            (self.greatest, tf.maximum(tf.reduce_max(values), 0.0)),
        )
        for variable, seen in ends:
            variable.assign(self.decay * variable + (1.0 - self.decay) * seen)

    def get_config(self) -> dict[str, Any]:
        """Describe the layer."""
        own = {"bits": self.bits, "update": self.update, "decay": self.decay}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("Flowpress")
class FakeQuantKernel(keras.layers.Layer):
    """Calls a layer with its kernel rounded to a symmetric grid, for files and for scoring.

    With a limit m the steps are `m / (2^(b-1) - 1)`, as many below zero as above.

    Args:
        layer: the Keras layer.
        weight: the name of its kernel.
        bits: of a weight, 2 to 8.
        axes: axes of the kernel, counted from the back, whose indices have limits of their own:
            (), (-1,) or (-2, -1).
        **settings: of every Keras layer.

    Attributes:
        limit: float32 [number of those indices], or one.
    """

    def __init__(
        self,
        layer: keras.Layer | dict[str, Any],
        weight: str = "kernel",
        bits: int = 8,
        axes: Sequence[int] = (),
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if tuple(axes) not in ((), (-1,), (-2, -1)):
            raise ValueError(f"`axes` must be (), (-1,) or (-2, -1). Received: {tuple(axes)}.")
        self.layer: keras.Layer = (
            layer
            if isinstance(layer, keras.Layer)
            else keras.saving.deserialize_keras_object(layer)
        )
        self.weight, self.bits, self.axes = weight, bits, tuple(axes)

    def build(self, input_shape: Any) -> None:
        """Build the layer, and make the limits."""
        if not self.layer.built:
            self.layer.build(input_shape)
        shape = self._kernel().shape
        size = int(np.prod([shape[axis] for axis in self.axes]))
        self.limit = self.add_weight(
            name="limit",
            shape=(size,) if self.axes else (),
            initializer="ones",
            trainable=False,
            autocast=False,
        )

    def call(self, inputs: Any) -> Any:
        """Call the layer with the rounded kernel."""
        kernel = self._kernel()
        with keras.StatelessScope(state_mapping=[(kernel, self._rounded(kernel))]):
            return self.layer(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give that of the layer."""
        return self.layer.compute_output_shape(input_shape)

    def _kernel(self) -> keras.Variable:
        return next(each for each in self.layer.weights if each.name == self.weight)

    def _rounded(self, kernel: keras.Variable) -> Any:
        limit, values = self.limit.value, tf.convert_to_tensor(kernel.value)
        options = {"num_bits": self.bits, "narrow_range": True}
        if not self.axes:
            return tf.quantization.fake_quant_with_min_max_vars(values, -limit, limit, **options)
        # The op knows the last axis only: of a depthwise kernel both channel axes become one.
        rest = [1] * (len(self.axes) - 1)
        flat = tf.reshape(values, (*kernel.shape[: -len(self.axes)], *rest, limit.shape[0]))
        settled = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            flat, -limit, limit, **options
        )
        return tf.reshape(settled, kernel.shape)

    def get_config(self) -> dict[str, Any]:
        """Describe the layer and the one inside."""
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "weight": self.weight,
            "bits": self.bits,
            "axes": list(self.axes),
        }
