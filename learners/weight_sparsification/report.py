"""What the report says of a sparse network: how much of what is zero."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from learners.live_weights import LiveWeights
from learners.weight_sparsification.targets import Targets

_MOST_NAMED = 4  # kernels left whole that are named; of more only the number


def facts(
    weights: LiveWeights, targets: Targets, known: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Say of each kernel how many of its weights are left, or why it was left whole.

    Args:
        weights: of the network as it is now.
        targets: what was up for pruning.
        known: facts by layer so far.

    Returns:
        Those with `weights_left` or `left_whole` added, by layer.
    """
    found: dict[str, dict[str, Any]] = {name: dict(each) for name, each in known.items()}
    for layer in targets.layers:
        left = sum(int(np.count_nonzero(weights.value(layer.layer, w))) for w in layer.weights)
        found.setdefault(layer.name, {})["weights_left"] = left
    for name, reason in targets.whole.items():
        found.setdefault(name, {})["left_whole"] = reason
    return found


def remarks(model: keras.Model, weights: LiveWeights, targets: Targets) -> list[str]:
    """Say how much of what is zero.

    Args:
        model: the network as it is now.
        weights: of it.
        targets: what was up for pruning.

    Returns:
        A sentence for the report.
    """
    size = sum(targets.sizes.values())
    left = sum(
        int(np.count_nonzero(weights.value(layer.layer, name)))
        for layer in targets.layers
        for name in layer.weights
    )
    total = int(model.count_params())
    zeros = total - sum(
        int(np.count_nonzero(array))
        for arrays in weights.current().params.values()
        for array in arrays.values()
    )
    return [
        f"weight-sparse: {100 * (1 - left / size):.2f} % of the {size} weights of "
        f"{len(targets.layers)} kernels are zero. Of all {total} parameters, with biases and batch "
        f"norms, that is {100 * zeros / total:.2f} %.{_whole(targets)}"
    ]


def _whole(targets: Targets) -> str:
    if not targets.whole:
        return ""
    if len(targets.whole) > _MOST_NAMED:
        return f" {len(targets.whole)} kernels were left whole."
    named = ", ".join(f"{name} ({reason})" for name, reason in targets.whole.items())
    return f" Left whole: {named}."
