"""Factorising Gram matrices, which samples leave singular more often than not."""

import numpy as np
import scipy.linalg

RIDGE = 1e-6  # of the mean diagonal, where errors are compared, which wants the exact solution

Factor = tuple[np.ndarray, bool]  # as SciPy's `cho_solve` takes it


def factorised(gram: np.ndarray, share: float) -> tuple[Factor, float]:
    """Factorise `gram + eps I` with eps a share of the mean diagonal; return eps as well.

    With fewer samples than rows the moments, summed in float32, are singular to more than the usual
    eps: then it grows until the factor exists.

    Args:
        gram: float64 [P, P], symmetric, positive semi-definite but for rounding.
        share: of the mean diagonal; > 0.

    Returns:
        The Cholesky factor, and eps.

    Raises:
        ValueError: if `share` is not positive.

    Example:
        >>> factor, eps = factorised(np.diag([2.0, 0.0]), 0.1)
        >>> scipy.linalg.cho_solve(factor, np.array([2.1, 0.0])), eps
        (array([1., 0.]), 0.1)
    """
    if not share > 0:
        raise ValueError(f"`share` must be positive. Received: {share}.")
    ridge = share * max(float(np.trace(gram)) / max(gram.shape[0], 1), np.finfo(np.float32).tiny)
    while True:
        try:
            return scipy.linalg.cho_factor(gram + ridge * np.eye(gram.shape[0]), lower=True), ridge
        except np.linalg.LinAlgError:
            ridge *= 10.0
