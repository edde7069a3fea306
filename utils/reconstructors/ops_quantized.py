"""Layers of Flowpress that round tensors to a grid, as they stand in trained networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.graph.ir import Node
from utils.reconstructors.ops_pointwise import same
from utils.reconstructors.rebuilding import Rebuilding, RefusedError

_NO_BITS = 32  # both layers: everything passes as it is


def _fake_quant(rebuilding: Rebuilding, node: Node) -> None:
    """Round to the grid of a range, as `fake_quant_with_min_max_vars` does."""
    params, bits = rebuilding.params(node), node.attrs["bits"]
    if bits >= _NO_BITS:
        same(rebuilding, node)
        return
    target = rebuilding.target
    low, high, step = nudged(float(params["least"]), float(params["greatest"]), bits)

    def function(x: Any) -> Any:
        inside = target.clip(x, low, high)
        steps = target.binary("div", target.binary("sub", inside, low), step)
        whole = target.unary("floor", target.binary("add", steps, 0.5))
        settled = target.binary("add", target.binary("mul", whole, step), low)
        return target.rounded(inside, settled)

    rebuilding.each_value(node, function)


def nudged(least: float, greatest: float, bits: int) -> tuple[float, float, float]:
    """Move a range so that 0 is on its grid, as TensorFlow's kernel does it in float32.

    Args:
        least: lower end.
        greatest: upper end.
        bits: of the grid.

    Returns:
        Lower end, upper end, and the step of the grid.

    Example:
        >>> nudged(0.0, 255.0, 8)
        (0.0, 255.0, 1.0)
    """
    steps = np.float32(2**bits - 1)
    step = np.float32((np.float32(greatest) - np.float32(least)) / steps)
    if step <= 0:
        raise RefusedError(f"its range ({least}, {greatest}) is empty")
    zero = np.clip(np.floor(-np.float32(least) / step + np.float32(0.5)), 0, steps)
    return float(-zero * step) + 0.0, float((steps - zero) * step), float(step)


def _quantizer(rebuilding: Rebuilding, node: Node) -> None:
    """`s (clip(round(x / s), -z, 2^b - 1 - z))`, the scale s from the graph."""
    bits, zero = node.attrs["bits"], node.attrs.get("zero_point", 0)
    if bits >= _NO_BITS:
        same(rebuilding, node)
        return
    target, scale = rebuilding.target, float(rebuilding.params(node)["scale"])

    def function(x: Any) -> Any:
        steps = target.clip(target.binary("div", x, scale), float(-zero), float(2**bits - 1 - zero))
        return target.binary("mul", target.rounded(steps, target.unary("round", steps)), scale)

    rebuilding.each_value(node, function)


ROWS: Mapping[str, Callable[[Rebuilding, Node], None]] = {
    "Flowpress>FakeQuant": _fake_quant,
    "Flowpress>ActivationQuantizer": _quantizer,
}
