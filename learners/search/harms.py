"""Harms: how the loss changes when one layer alone takes other choices, measured.

A few choices of each layer are scored like roll-outs, the others interpolated.
"""

import functools
from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

from learners.search.choices import ChoiceLayer
from learners.search.failing import loss_of
from learners.search.problem import Problem
from utils.command import notes

HARM_POINTS = 6  # choices at which the harm of a layer is measured …
MAX_HARM_SCORES = 120  # … fewer in networks of many layers


def measured_harms(problem: Problem, around: np.ndarray) -> list[np.ndarray]:
    """Measure how a candidate's loss changes with each layer's choice.

    Args:
        problem: what is searched.
        around: the candidate, int [layers].

    Returns:
        Per layer the loss less that of the untouched choice, float64 [choices].
    """
    notes.print(f"measuring how much each of {len(problem.layers)} layers is missed")

    def loss(index: int, value: int) -> float:
        values = around.copy()
        values[index] = value
        return loss_of(problem, values)

    num_points = harm_points(len(problem.layers))
    return [
        harm_curve(layer, functools.partial(loss, index), num_points)
        for index, layer in enumerate(problem.layers)
    ]


def harm_points(num_layers: int) -> int:
    """Say how many choices of each layer are scored, at most."""
    return int(np.clip(MAX_HARM_SCORES // num_layers, 2, HARM_POINTS))


def harm_curve(layer: ChoiceLayer, measure: Callable[[int], float], num_points: int) -> np.ndarray:
    """Measure how the loss grows as a layer's choice shrinks.

    Args:
        layer: the layer.
        measure: value -> the loss when this layer takes it.
        num_points: values that are measured: the largest, halvings of it, the smallest. Between
            them it is interpolated by a monotone cubic, over the logarithm of the value.

    Returns:
        float64 [choices], never rising with the value, 0 for the largest.
    """
    last = len(layer.choices) - 1
    places = harm_places(layer, num_points)
    losses = np.array([measure(layer.choices[place]) for place in places])
    finite = losses[np.isfinite(losses)]
    if not finite.size:
        return np.linspace(1.0, 0.0, last + 1)
    losses = np.where(np.isfinite(losses), losses, finite.max())
    falling = np.maximum.accumulate(losses[::-1])[::-1]
    known = np.log([layer.choices[place] for place in places])
    curve = PchipInterpolator(known, falling) if len(places) > 1 else None
    harm = falling if curve is None else curve(np.log(layer.choices))
    return harm - harm[-1]


def harm_places(layer: ChoiceLayer, num_points: int) -> list[int]:
    """Say which of a layer's choices `harm_curve` measures, at most `num_points`, ascending.

    Example:
        >>> harm_places(ChoiceLayer("conv", tuple(range(1, 33)), (), 0), 6)
        [0, 2, 4, 8, 16, 31]
    """
    last = len(layer.choices) - 1
    shares = 0.5 ** np.arange(1, num_points - 1)
    return sorted({0, last, *(round(last * share) for share in shares)})
