"""Sums that come out the same however the summands are divided among workers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

# The states of these are sums over samples, in Keras' own update_state.
_SUMS = (
    keras.metrics.Mean,
    keras.metrics.Sum,
    keras.metrics.AUC,
    keras.metrics.IoU,
    keras.metrics.Precision,
    keras.metrics.Recall,
    keras.metrics.TruePositives,
    keras.metrics.TrueNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.FalseNegatives,
    keras.metrics.FBetaScore,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.RecallAtPrecision,
)


def is_additive(metric: keras.metrics.Metric) -> bool:
    """Tell whether the states of a metric that saw parts of a set add up to that of the whole.

    Args:
        metric: Keras' own; one of another class says it by an attribute `is_additive`, else it is
            taken not to be.

    Example:
        >>> is_additive(keras.metrics.AUC()), is_additive(keras.metrics.R2Score())
        (True, False)
    """
    said = getattr(metric, "is_additive", None)
    if said is not None:
        return bool(said)
    return isinstance(metric, _SUMS) and type(metric).__module__.startswith("keras.")


def exact_sum(summands: Sequence[float]) -> float:
    """Add up in any order to the same bits.

    Args:
        summands: floats; with one that is not finite the sum is not either.

    Example:
        >>> exact_sum([1e16, 1.0, -1e16])
        1.0
    """
    try:
        return math.fsum(summands)
    except (ValueError, OverflowError):  # infinities of both signs, or beyond the largest float
        return sum(summands)
