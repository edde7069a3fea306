"""What int8 kernels of ops without weights of their own need: a part of the table of ops.

All of it was measured with the converter: a network of the op alone with quantizers as said here
gives a file without a float operator, and with the network's outputs.
"""

from __future__ import annotations

from utils.graph.ir import Node
from utils.graph.row import IntegerForm, IntegerRule, always

_OWN = IntegerForm()
_SAME = IntegerForm(output="same")
_SHARED = IntegerForm(output="shared")
_SUMMED = IntegerForm(fuses=True)  # sums and products: a ReLU behind is part of them
_RELU = IntegerForm(is_relu=True)
# Kernels that give 1/256 (of tanh 1/128) a step, whatever they read.
_UNIT = IntegerForm(fixed=(0.0, 255 / 256))
_SIGNED_UNIT = IntegerForm(fixed=(-1.0, 127 / 128))
# By activation. `hard_sigmoid` is float in a file: `utils.graph.integer_form` writes it otherwise.
_ACTIVATION_FORMS: dict[str | None, IntegerForm] = {
    **dict.fromkeys((None, "linear"), _SAME),
    **dict.fromkeys(("relu", "relu6"), _RELU),
    **dict.fromkeys(("gelu", "hard_silu", "hard_swish", "leaky_relu", "silu", "swish"), _OWN),
    **dict.fromkeys(("sigmoid", "softmax"), _UNIT),
    "tanh": _SIGNED_UNIT,
}


def activation_form(node: Node) -> IntegerForm | None:
    """Look up the int8 kernel of a layer that is only its `activation`."""
    activation = node.attrs.get("activation")
    return _ACTIVATION_FORMS.get(activation) if isinstance(activation, str) else None


def _relu_form(node: Node) -> IntegerForm | None:
    if node.attrs.get("threshold"):
        return None
    if node.attrs.get("negative_slope"):
        return _OWN if node.attrs.get("max_value") is None else None
    return _RELU if node.attrs.get("max_value") in (None, 6.0) else None


def _last_axis(form: IntegerForm) -> IntegerRule:
    """Rule of an op that the format knows along the last axis only."""

    def rule(node: Node) -> IntegerForm | None:
        last = len(node.output_shapes[0]) - 1
        return form if node.attrs.get("axis", -1) in (-1, last, [-1], [last]) else None

    return rule


def _padded(node: Node) -> IntegerForm | None:
    """Look up the kernel of a layer that works on positions of channels-last maps."""
    return None if node.attrs.get("data_format") == "channels_first" else _SAME


def _averaged(node: Node) -> IntegerForm | None:
    """A mean over all positions has fewer values than its inputs: its range is its own."""
    return None if node.attrs.get("data_format") == "channels_first" else _OWN


POINTWISE: dict[str, IntegerRule] = {
    **dict.fromkeys(
        (
            *("keras.layers.Dropout", "keras.layers.SpatialDropout1D"),
            *("keras.layers.SpatialDropout2D", "keras.layers.SpatialDropout3D"),
            *("keras.layers.ActivityRegularization", "keras.layers.Identity"),
            *("keras.layers.GaussianNoise", "keras.layers.GaussianDropout"),
            *("keras.layers.AlphaDropout", "keras.src.ops.core.StopGradient"),
            *("keras.src.ops.numpy.Copy", "keras.src.applications.convnext.StochasticDepth"),
        ),
        always(_SAME),
    ),
    **{
        f"{module}.{name}": always(form)
        for module in ("keras.layers", "keras.src.ops.numpy")
        for name, form in (
            *(("Add", _SUMMED), ("Multiply", _SUMMED), ("Subtract", _SUMMED)),
            *(("Maximum", _SHARED), ("Minimum", _SHARED)),
        )
    },
    "keras.layers.Activation": activation_form,
    "keras.layers.ReLU": _relu_form,
    "keras.layers.LeakyReLU": always(_OWN),
    "keras.layers.PReLU": always(_OWN),
    "keras.layers.Softmax": _last_axis(_UNIT),
    "keras.src.ops.nn.Softmax": _last_axis(_UNIT),
    **dict.fromkeys(("keras.src.ops.nn.Relu", "keras.src.ops.nn.Relu6"), always(_RELU)),
    **dict.fromkeys(
        (f"keras.src.ops.nn.{name}" for name in ("Gelu", "HardSilu", "LeakyRelu", "Silu")),
        always(_OWN),
    ),
    "keras.src.ops.nn.Sigmoid": always(_UNIT),
    "keras.src.ops.numpy.Tanh": always(_SIGNED_UNIT),
    **{
        f"keras.layers.{name}{rank}D": _padded
        for name in ("AveragePooling", "MaxPooling", "GlobalMaxPooling", "UpSampling")
        for rank in (1, 2)
    },
    **{
        f"keras.layers.{name}{rank}D": _padded
        for name in ("ZeroPadding", "Cropping")
        for rank in (1, 2)
    },
    **{f"keras.layers.GlobalAveragePooling{rank}D": _averaged for rank in (1, 2)},
    "keras.layers.Resizing": _padded,
    "keras.src.ops.image.Resize": _padded,
    "keras.src.ops.nn.AveragePool": _padded,
    "keras.src.ops.nn.MaxPool": _padded,
}
