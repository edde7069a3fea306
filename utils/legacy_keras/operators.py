"""TensorFlow operations inside a functional model, as Keras 2 wrote them: `x / 2`, `tf.nn.relu(x)`.

Each becomes the `keras.ops` call that computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from utils.errors import InputError

_Function = Callable[..., Any]


def _reduced(function: _Function) -> _Function:
    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return function(x, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims)

    return reduce


def _getitem(x: Any, slice_spec: Any) -> Any:
    return x[tuple(_index(part) for part in slice_spec)]


def _index(part: Any) -> Any:
    if isinstance(part, Mapping):
        if part.get("class_name") == "__ellipsis__":
            return Ellipsis
        return slice(part.get("start"), part.get("stop"), part.get("step"))
    return part


def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Any:
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, epsilon))


def _binary(function: _Function) -> tuple[_Function, tuple[str, ...]]:
    return (lambda x, y: function(x, y)), ("y",)


# What the file calls it -> what computes it, and the names of its arguments after the first.
_TABLE: Mapping[str, tuple[_Function, tuple[str, ...]]] = {
    "__operators__.add": _binary(ops.add),
    "__operators__.getitem": (_getitem, ("slice_spec",)),
    "cast": (ops.cast, ("dtype",)),
    "clip_by_value": (
        lambda x, clip_value_min, clip_value_max: ops.clip(x, clip_value_min, clip_value_max),
        ("clip_value_min", "clip_value_max"),
    ),
    "concat": (ops.concatenate, ("axis",)),
    "expand_dims": (ops.expand_dims, ("axis",)),
    "image.resize": (
        lambda x, size, method="bilinear": ops.image.resize(x, tuple(size), interpolation=method),
        ("size", "method"),
    ),
    "math.abs": (ops.abs, ()),
    "math.add": _binary(ops.add),
    "math.divide": _binary(ops.true_divide),
    "math.exp": (ops.exp, ()),
    "math.log": (ops.log, ()),
    "math.maximum": _binary(ops.maximum),
    "math.minimum": _binary(ops.minimum),
    "math.multiply": _binary(ops.multiply),
    "math.negative": (ops.negative, ()),
    "math.pow": _binary(ops.power),
    "math.reduce_max": (_reduced(ops.max), ("axis", "keepdims")),
    "math.reduce_mean": (_reduced(ops.mean), ("axis", "keepdims")),
    "math.reduce_min": (_reduced(ops.min), ("axis", "keepdims")),
    "math.reduce_sum": (_reduced(ops.sum), ("axis", "keepdims")),
    "math.rsqrt": (ops.rsqrt, ()),
    "math.sigmoid": (ops.sigmoid, ()),
    "math.sqrt": (ops.sqrt, ()),
    "math.square": (ops.square, ()),
    "math.subtract": _binary(ops.subtract),
    "math.tanh": (ops.tanh, ()),
    "math.truediv": _binary(ops.true_divide),
    "nn.elu": (ops.elu, ()),
    "nn.gelu": (lambda x, approximate=False: ops.gelu(x, approximate), ("approximate",)),
    "nn.l2_normalize": (_l2_normalize, ("axis", "epsilon")),
    "nn.leaky_relu": (lambda x, alpha=0.2: ops.leaky_relu(x, alpha), ("alpha",)),
    "nn.relu": (ops.relu, ()),
    "nn.relu6": (ops.relu6, ()),
    "nn.silu": (ops.silu, ()),
    "nn.softmax": (lambda x, axis=None: ops.softmax(x, -1 if axis is None else axis), ("axis",)),
    "nn.softplus": (ops.softplus, ()),
    "reshape": (lambda x, shape: ops.reshape(x, tuple(shape)), ("shape",)),
    "squeeze": (ops.squeeze, ("axis",)),
    "stack": (ops.stack, ("axis",)),
    "transpose": (lambda x, perm=None: ops.transpose(x, perm), ("perm",)),
}
_SAME = {
    "linalg.l2_normalize": "nn.l2_normalize",
    "math.l2_normalize": "nn.l2_normalize",
    "math.softplus": "nn.softplus",
    "nn.sigmoid": "math.sigmoid",
    "nn.swish": "nn.silu",
    "nn.tanh": "math.tanh",
}
_IGNORED = ("name",)
_CLASSES = ("TFOpLambda", "SlicingOpLambda")


def operator(entry: Mapping[str, Any]) -> _Function | None:
    """Find what computes an operation.

    Args:
        entry: a layer of a functional model, as in the file.

    Returns:
        A function of tensors that takes the call's arguments as the file names them; None if the
        entry is an ordinary layer.

    Raises:
        InputError: for an operation without an equal, or arguments that are not known.
    """
    if entry.get("class_name") not in _CLASSES:
        return None
    written = str(entry["config"].get("function"))
    name = _SAME.get(written, written)
    if name not in _TABLE:
        raise InputError(
            f"layer {entry.get('name')!r}: the TensorFlow operation {written!r} is not translated. "
            "Replace it by a Keras layer where the network was made, or give the weights alone to "
            "a network of yours (--pretrained_path)."
        )
    function, names = _TABLE[name]

    def call(x: Any, **arguments: Any) -> Any:
        given = {key: value for key, value in arguments.items() if key not in _IGNORED}
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise InputError(
                f"layer {entry.get('name')!r}: the argument {unknown[0]!r} of {written!r} is not "
                "translated."
            )
        return function(x, **given)

    return call
