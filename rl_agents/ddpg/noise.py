"""Exploration noise: how large it is, and how it disturbs actions or parameters.

References:
    Plappert et al., "Parameter Space Noise for Exploration", 2017, arXiv:1706.01905.
    He et al., "AMC: AutoML for Model Compression", 2018, arXiv:1802.03494 (truncated normal).
"""

import statistics

import numpy as np

_NORMAL = statistics.NormalDist()


def decayed_std(index: int, first: int, last: int, std_init: float, std_finl: float) -> float:
    """Size of time-decaying noise: constant until roll-out `first`, then geometric to `last`.

        std(i) = std_init * (std_finl / std_init) ** ((i - first) / (last - first))

    Args:
        index: roll-out, from 0.
        first: the last roll-out at `std_init`.
        last: the first roll-out at `std_finl`; later ones stay there.
        std_init: standard deviation at the start.
        std_finl: standard deviation at the end.

    Returns:
        The standard deviation in roll-out `index`.

    Example:
        >>> [round(decayed_std(i, 1, 3, 1.0, 0.01), 6) for i in range(5)]
        [1.0, 1.0, 0.1, 0.01, 0.01]
    """
    if index >= last:
        return std_finl
    progress = max(0, index - first) / max(1, last - first)
    return std_init * (std_finl / std_init) ** progress


def adapted_std(std: float, distance: float, wanted: float, rate: float) -> float:
    """Size of adaptive parameter noise after one measurement (Plappert et al., equation 8).

    Args:
        std: standard deviation with which `distance` was measured.
        distance: root mean square difference between clean and disturbed actions.
        wanted: the distance to aim at.
        rate: factor > 1 of one step.

    Returns:
        `std / rate` when the actions moved too far, else `std * rate`.

    Example:
        >>> adapted_std(0.5, distance=0.3, wanted=0.1, rate=2.0)
        0.25
    """
    return std / rate if distance > wanted else std * rate


def truncated_normal(mean: float, std: float, generator: np.random.Generator) -> float:
    """Draw from a normal distribution cut to [0, 1].

    Clipping instead would put most of the mass on 0 and 1 when `std` is large; this tends to the
    uniform distribution.

    Args:
        mean: in [0, 1].
        std: > 0, before the cut.
        generator: source of the one random number.

    Returns:
        A number in [0, 1].
    """
    low, high = _NORMAL.cdf(-mean / std), _NORMAL.cdf((1.0 - mean) / std)
    quantile = low + (high - low) * generator.random()
    # inv_cdf takes the open interval; the limits are 8 standard deviations out.
    value = mean + std * _NORMAL.inv_cdf(min(max(quantile, 1e-15), 1.0 - 1e-15))
    return min(max(value, 0.0), 1.0)


def perturbed(
    parameters: np.ndarray, perturbable: np.ndarray, std: float, generator: np.random.Generator
) -> np.ndarray:
    """Disturb a network's parameters by independent normal noise.

    Args:
        parameters: float32 [size].
        perturbable: boolean [size]; the rest is copied.
        std: standard deviation.
        generator: source of the noise.

    Returns:
        float32 [size], a new array.
    """
    noise = generator.standard_normal(parameters.size, np.float32)
    return parameters + np.float32(std) * noise * perturbable
