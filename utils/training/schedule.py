"""Learning-rate schedules; all of them are Keras' own classes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras


def piecewise_constant(
    lrn_rate: float,
    steps_per_epoch: int,
    *,
    idxs_epoch: Sequence[float],
    decay_rates: Sequence[float],
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Multiply a learning rate by another factor from each of some epochs on.

    Args:
        lrn_rate: learning rate that the factors refer to.
        steps_per_epoch: steps of an epoch.
        idxs_epoch: epochs at which the factor changes, rising.
        decay_rates: factors; one more than `idxs_epoch`.

    Returns:
        Schedule over steps.

    Raises:
        ValueError: if the lengths do not fit or the epochs do not rise.

    Example:
        >>> schedule = piecewise_constant(0.1, 10, idxs_epoch=[2, 3], decay_rates=[1, 0.1, 0.01])
        >>> [round(float(schedule(step)), 4) for step in (0, 19, 20, 29, 30)]
        [0.1, 0.1, 0.01, 0.01, 0.001]
    """
    if len(decay_rates) != len(idxs_epoch) + 1:
        raise ValueError(
            "`decay_rates` must have one entry more than `idxs_epoch`. Received: "
            f"{len(decay_rates)} and {len(idxs_epoch)}."
        )
    # Keras keeps the old value at the boundary itself; the first step of an epoch has the new one.
    boundaries = [round(epoch * steps_per_epoch) - 1 for epoch in idxs_epoch]
    if any(later <= earlier for earlier, later in itertools.pairwise(boundaries)):
        raise ValueError(f"`idxs_epoch` must rise by a step or more. Received: {list(idxs_epoch)}.")
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        boundaries, [lrn_rate * rate for rate in decay_rates]
    )


def fine_tune_schedule(
    lrn_rate: float, nb_steps: int, *, nb_steps_warmup: int = 0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Fall from a learning rate to 0 along half a cosine, after an optional linear warm-up.

    Args:
        lrn_rate: the highest learning rate.
        nb_steps: steps of the whole run.
        nb_steps_warmup: the first of them, which rise linearly from 0.

    Returns:
        Schedule over steps.

    Raises:
        ValueError: if the warm-up is negative or takes the whole run.

    Example:
        >>> schedule = fine_tune_schedule(0.01, 120, nb_steps_warmup=20)
        >>> [round(float(schedule(step)), 5) for step in (0, 10, 20, 70, 120)]
        [0.0, 0.005, 0.01, 0.005, 0.0]

    Reference:
        Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017,
        arXiv:1608.03983 (one period, no restart).
    """
    if not 0 <= nb_steps_warmup < max(nb_steps, 1):
        raise ValueError(
            "`nb_steps_warmup` must be in [0, nb_steps). Received: "
            f"{nb_steps_warmup} of {nb_steps}."
        )
    decay_steps = max(nb_steps - nb_steps_warmup, 1)
    if not nb_steps_warmup:
        return keras.optimizers.schedules.CosineDecay(lrn_rate, decay_steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps, warmup_target=lrn_rate, warmup_steps=nb_steps_warmup
    )
