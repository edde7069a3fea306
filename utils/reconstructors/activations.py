"""Activation functions: what each is made of, where a target does not have it by itself.

A function gets the rebuilding, a handle and its settings, and gives a handle. Defaults are those of
`keras.activations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from utils.graph.ir import Node
from utils.reconstructors.rebuilding import Rebuilding, RefusedError

_Function = Callable[..., Any]


def activated(rebuilding: Rebuilding, node: Node, x: Any) -> Any:
    """Apply a layer's `activation` to what its kernel gave; not those of `OVER_AXIS`.

    Raises:
        RefusedError: for a function that is not known.
    """
    name, settings = describe(node.attrs.get("activation"))
    return apply(rebuilding, name, x, settings)


def describe(activation: Any) -> tuple[str, dict[str, Any]]:
    """Name an activation as layers hold it, and its settings.

    Raises:
        RefusedError: if it is neither a function nor a simple layer of Keras.

    Example:
        >>> describe(None), describe({"class_name": "function", "config": "relu"})
        (('linear', {}), ('relu', {}))
    """
    if activation is None or isinstance(activation, str):
        return activation or "linear", {}
    if isinstance(activation, Mapping):
        config = activation.get("config")
        if activation.get("class_name") == "function" and isinstance(config, str):
            return config, {}
        layer = _LAYERS.get(str(activation.get("class_name")))
        if layer and isinstance(config, Mapping) and activation.get("module") == "keras.layers":
            name, keys = layer
            return name, {key: config[key] for key in keys if config.get(key) is not None}
    raise RefusedError(f"its activation {activation!r} is not known")


def apply(rebuilding: Rebuilding, name: str, x: Any, settings: Mapping[str, Any]) -> Any:
    """Apply an activation that treats each value alone.

    Raises:
        RefusedError: for a function that is not known.
    """
    if name not in FUNCTIONS:
        raise RefusedError(f"its activation {name!r} has no form there")
    return FUNCTIONS[name](rebuilding, x, **settings)


def _own(name: str, **defaults: float) -> _Function:
    """Make the function that both targets have by themselves."""

    def function(rebuilding: Rebuilding, x: Any, **settings: Any) -> Any:
        chosen = {key: float(settings.get(key, value)) for key, value in defaults.items()}
        return rebuilding.target.unary(name, x, **chosen)

    return function


def relu(
    rebuilding: Rebuilding,
    x: Any,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Any:
    """Apply ReLU as the layer does: `f(x) = s (x - t)` below t, x up to the greatest value."""
    target = rebuilding.target
    if threshold:
        low = 0.0
        if negative_slope:
            low = target.binary(
                "mul", target.binary("sub", x, float(threshold)), float(negative_slope)
            )
        above = target.binary("greater_equal", x, float(threshold))
        high = x if max_value is None else target.clip(x, None, float(max_value))
        return target.where(above, high, low)
    if negative_slope:
        x = target.unary("leaky_relu", x, negative_slope=float(negative_slope))
        return x if max_value is None else target.clip(x, None, float(max_value))
    if max_value is not None:
        return target.clip(x, 0.0, float(max_value))
    return target.unary("relu", x)


def _silu(rebuilding: Rebuilding, x: Any) -> Any:
    target = rebuilding.target
    if "silu" in target.units:
        return target.unary("silu", x)
    return target.binary("mul", x, target.unary("sigmoid", x))


def _hard_sigmoid(rebuilding: Rebuilding, x: Any) -> Any:
    return rebuilding.target.unary("hard_sigmoid", x)  # relu6(x + 3) / 6


def _gelu(rebuilding: Rebuilding, x: Any, approximate: bool = False) -> Any:
    return rebuilding.target.unary("gelu_tanh" if approximate else "gelu", x)


def _log_sigmoid(rebuilding: Rebuilding, x: Any) -> Any:
    target = rebuilding.target
    return target.unary("neg", target.unary("softplus", target.unary("neg", x)))


def _tanh_shrink(rebuilding: Rebuilding, x: Any) -> Any:
    target = rebuilding.target
    return target.binary("sub", x, target.unary("tanh", x))


def _hard_shrink(rebuilding: Rebuilding, x: Any, threshold: float = 0.5) -> Any:
    target = rebuilding.target
    return target.where(target.binary("greater", target.unary("abs", x), float(threshold)), x, 0.0)


def _soft_shrink(rebuilding: Rebuilding, x: Any, threshold: float = 0.5) -> Any:
    target = rebuilding.target
    inside = target.clip(x, -float(threshold), float(threshold))
    return target.binary("sub", x, inside)


def _threshold(
    rebuilding: Rebuilding, x: Any, threshold: float = 0.0, default_value: float = 0.0
) -> Any:
    target = rebuilding.target
    return target.where(target.binary("greater", x, float(threshold)), x, float(default_value))


def _sparse_plus(rebuilding: Rebuilding, x: Any) -> Any:
    """`(x + 1)^2 / 4` between -1 and 1, 0 below, x above."""
    target = rebuilding.target
    inside = target.binary("add", target.clip(x, -1.0, 1.0), 1.0)
    bent = target.binary("mul", target.binary("mul", inside, inside), 0.25)
    return target.binary("add", bent, target.unary("relu", target.binary("sub", x, 1.0)))


def _sparse_sigmoid(rebuilding: Rebuilding, x: Any) -> Any:
    target = rebuilding.target
    half = target.binary("mul", target.binary("add", x, 1.0), 0.5)
    return target.clip(half, 0.0, 1.0)


def _squareplus(rebuilding: Rebuilding, x: Any, b: float = 4.0) -> Any:
    target = rebuilding.target
    root = target.unary("sqrt", target.binary("add", target.binary("mul", x, x), float(b)))
    return target.binary("mul", target.binary("add", x, root), 0.5)


def _linear(rebuilding: Rebuilding, x: Any) -> Any:
    return x


_GATED = {
    **dict.fromkeys(("silu", "swish"), _silu),
    **dict.fromkeys(("hard_silu", "hard_swish"), _own("hard_swish")),
}
FUNCTIONS: Mapping[str, _Function] = {
    **_GATED,
    "celu": _own("celu", alpha=1.0),
    "elu": _own("elu", alpha=1.0),
    "exponential": _own("exp"),
    "gelu": _gelu,
    "hard_shrink": _hard_shrink,
    "hard_sigmoid": _hard_sigmoid,
    "hard_tanh": lambda rebuilding, x: rebuilding.target.clip(x, -1.0, 1.0),
    "leaky_relu": _own("leaky_relu", negative_slope=0.2),
    "linear": _linear,
    "log_sigmoid": _log_sigmoid,
    "mish": _own("mish"),
    "relu": relu,
    "relu6": lambda rebuilding, x: rebuilding.target.clip(x, 0.0, 6.0),
    "selu": _own("selu"),
    "sigmoid": _own("sigmoid"),
    "soft_shrink": _soft_shrink,
    "softplus": _own("softplus"),
    "softsign": _own("softsign"),
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
    "squareplus": _squareplus,
    "tanh": _own("tanh"),
    "tanh_shrink": _tanh_shrink,
    "threshold": _threshold,
}
OVER_AXIS = ("softmax", "log_softmax")
_LAYERS = {
    "ReLU": ("relu", ("negative_slope", "max_value", "threshold")),
    "LeakyReLU": ("leaky_relu", ("negative_slope",)),
    "ELU": ("elu", ("alpha",)),
}


def functions_of_math(rebuilding: Rebuilding, name: str, x: Any) -> Any:
    """Apply a function of `keras.ops` to each value, composed where the target lacks it."""
    target = rebuilding.target
    if name in target.units:
        return target.unary(name, x)
    return _COMPOSED[name](rebuilding, x)


def _scaled(name: str, factor: float, *, before: bool) -> _Function:
    def function(rebuilding: Rebuilding, x: Any) -> Any:
        target = rebuilding.target
        if before:
            return target.unary(name, target.binary("mul", x, factor))
        return target.binary("mul", target.unary(name, x), factor)

    return function


def _cbrt(rebuilding: Rebuilding, x: Any) -> Any:
    target = rebuilding.target
    root = target.binary("pow", target.unary("abs", x), 1.0 / 3.0)
    return target.binary("mul", target.unary("sign", x), root)


def _trunc(rebuilding: Rebuilding, x: Any) -> Any:
    target = rebuilding.target
    whole = target.unary("floor", target.unary("abs", x))
    return target.binary("mul", target.unary("sign", x), whole)


def _isfinite(rebuilding: Rebuilding, x: Any) -> Any:
    target = rebuilding.target
    odd = target.binary("or", target.unary("isnan", x), target.unary("isinf", x))
    return target.unary("not", odd)


_COMPOSED: Mapping[str, _Function] = {
    "cbrt": _cbrt,
    "exp2": _scaled("exp", math.log(2.0), before=True),
    "expm1": lambda rebuilding, x: rebuilding.target.binary(
        "sub", rebuilding.target.unary("exp", x), 1.0
    ),
    "isfinite": _isfinite,
    "log10": _scaled("log", 1.0 / math.log(10.0), before=False),
    "log1p": lambda rebuilding, x: rebuilding.target.unary(
        "log", rebuilding.target.binary("add", x, 1.0)
    ),
    "log2": _scaled("log", 1.0 / math.log(2.0), before=False),
    "rsqrt": lambda rebuilding, x: rebuilding.target.unary(
        "reciprocal", rebuilding.target.unary("sqrt", x)
    ),
    "square": lambda rebuilding, x: rebuilding.target.binary("mul", x, x),
    "trunc": _trunc,
}
