"""TensorFlow functions of our own code: traced as they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def traced(function: Callable[..., Any]) -> Any:
    """Compile a function of tensors into a graph.

    AutoGraph, which rewrites Python's `if` and `for` over tensors, stays away, as in Keras' `fit`:
    nothing here needs it, and each function that is rewritten costs tenths of a second. So a
    helper's loss is computed everywhere as it is in training.

    Args:
        function: of tensors or structures of them; a batch of another size is no new trace.

    Returns:
        The `tf.function`; usable as a decorator.

    Example:
        >>> int(traced(lambda number: 2 * number)(tf.constant(4)))
        8
    """
    return tf.function(function, autograph=False, reduce_retracing=True)
