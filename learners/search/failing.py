"""Candidates that fail: one costs a search nothing more, unless one worker of several lacks it."""

import math

import numpy as np
import tensorflow as tf

from learners.search.problem import Problem
from utils.multi_gpu_wrapper import current

# What fails in one of several workers, while others score the same candidate.
_OF_ONE_WORKER = (MemoryError, OSError, tf.errors.ResourceExhaustedError)


def raise_if_alone(error: Exception) -> None:
    """Raise what may have failed in this worker alone: the others wait for what it scores."""
    if current().size > 1 and isinstance(error, _OF_ONE_WORKER):
        raise error


def loss_of(problem: Problem, values: np.ndarray) -> float:
    """Score a candidate.

    Args:
        problem: what is searched.
        values: the candidate, int [layers].

    Returns:
        Its loss; NaN where it fails.
    """
    try:
        return problem.score(values).loss
    except Exception as error:  # as in a roll-out: one failure is not the end
        raise_if_alone(error)
        return math.nan
