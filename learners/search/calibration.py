"""Closed-form errors on the scale of the loss.

Errors of different layers cannot be compared as they are: the same relative error costs more in one
layer than in another. So in the untouched network one layer at a time takes one or two of its
choices, and the loss is measured. Between those the rise of the loss is interpolated along the
error, which gives it its shape; where the error is larger than any that was measured it goes on in
proportion. No layer is taken to be missed much less than others by the same error: what few images
say of a small rise is noise.
"""

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator

from learners.search.choices import ChoiceLayer, untouched
from learners.search.failing import loss_of
from learners.search.problem import Problem
from utils.command import notes

SHARES = (0.125, 0.5)  # of a layer's untouched choice: where losses are measured …
MAX_SCORES = 120  # … only at the first in networks of many layers
LEAST_SHARE = 0.05  # of the median rise for an error of 1, which every layer has at least


def calibrated_errors(problem: Problem) -> list[np.ndarray]:
    """Measure a few losses and give every layer's errors as rises of the loss.

    Args:
        problem: its errors are taken, and `num_scores(problem.layers)` networks scored.

    Returns:
        Per layer float64 [choices], not rising with the value, 0 for the untouched choice. The
        errors themselves where no loss can be measured.
    """
    layers, errors = problem.layers, problem.errors()
    notes.print(f"measuring the scale of the errors of {len(layers)} layers")
    whole = untouched(layers)
    before = loss_of(problem, whole)
    curves, slopes = [], []
    for index, (layer, column) in enumerate(zip(layers, errors, strict=True)):
        places = calibration_places(layer, len(layers))
        rises = np.empty(len(places))
        for number, place in enumerate(places):
            values = whole.copy()
            values[index] = layer.choices[place]
            rises[number] = loss_of(problem, values) - before
        curves.append(along(column, column[places], rises))
        slopes += [curves[-1][place] / column[place] for place in places if column[place] > 0.0]
    slope = float(np.median(slopes)) if slopes else 0.0
    if slope <= 0.0:
        return errors
    pairs = zip(curves, errors, strict=True)
    return [np.maximum(curve, LEAST_SHARE * slope * column) for curve, column in pairs]


def calibration_places(layer: ChoiceLayer, num_layers: int) -> list[int]:
    """Say at which of a layer's choices, below the untouched one, losses are measured.

    Example:
        >>> calibration_places(ChoiceLayer("conv", tuple(range(1, 33)), (), 0), 10)
        [3, 15]
        >>> calibration_places(ChoiceLayer("conv", (8,), (), 0), 10)
        []
    """
    last = len(layer.choices) - 1
    shares = SHARES if 1 + len(SHARES) * num_layers <= MAX_SCORES else SHARES[:1]
    below = np.abs(np.subtract.outer(shares, np.array(layer.choices[:last]) / layer.choices[-1]))
    return sorted({int(row.argmin()) for row in below if last})


def num_scores(layers: Sequence[ChoiceLayer]) -> int:
    """Say how many networks `calibrated_errors` scores."""
    return 1 + sum(len(calibration_places(layer, len(layers))) for layer in layers)


def along(errors: np.ndarray, known: np.ndarray, rises: np.ndarray) -> np.ndarray:
    """Interpolate rises of the loss along errors, through the origin.

    Args:
        errors: float [n], >= 0, where they are wanted.
        known: float [m], >= 0, the errors at which they were measured.
        rises: float [m]; those that are not finite are left out, negative ones are 0.

    Returns:
        float64 [n], not falling with the error: a monotone cubic as far as it was measured, beyond
        in proportion; zeros where nothing was.

    Example:
        >>> along(np.array([0.0, 0.1, 0.2, 0.4]), np.array([0.2]), np.array([1.0]))
        array([0. , 0.5, 1. , 2. ])
    """
    usable = np.isfinite(rises) & (known > 0.0)
    x, first = np.unique(np.concatenate([[0.0], known[usable]]), return_index=True)
    y = np.maximum.accumulate(np.concatenate([[0.0], np.maximum(rises[usable], 0.0)])[first])
    if x.size < 2:
        return np.zeros(errors.size)
    inside = PchipInterpolator(x, y)(np.minimum(errors, x[-1]))
    return inside * np.maximum(errors / x[-1], 1.0)
