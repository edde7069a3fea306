"""How many iterations: the one place where the documented counts are scaled to the data set.

The document's counts are those of ImageNet: 10,000 for a stage, 500 for a layer. A data set of
50,000 small images needs less, and a network of 50 layers could not be pruned in an hour with them.
"""

import dataclasses
import math

BLOCK_EPOCHS = 0.2  # of fine-tuning in each stage: four stages stay below an epoch
LAYER_EPOCHS = 0.1  # for each layer: 500 batches of 256 are a tenth of ImageNet
LEAST_ITERATIONS = 50  # Adam moves a weight by its rate in each: fewer change nothing


def scaled(count: int, share: float, steps_per_epoch: int) -> int:
    """Scale a documented number of iterations to a data set.

    Args:
        count: as given by the flag, at least 1; never exceeded.
        share: the part of an epoch that it is cut to.
        steps_per_epoch: batches of an epoch.

    Returns:
        The number of iterations: that share of an epoch, `LEAST_ITERATIONS` where that is less.

    Example:
        >>> [scaled(10000, 0.2, steps) for steps in (22, 390, 5004, 50000)]
        [50, 78, 1001, 10000]
    """
    return min(count, max(LEAST_ITERATIONS, math.ceil(share * steps_per_epoch)))


@dataclasses.dataclass(frozen=True)
class GreedyPlan:
    """How the iterations for a layer are spent.

    Attributes:
        additions: channels that each greedy step adds, at least 1.
        tuning: iterations on the chosen channels after each step, as many as there are steps.
        final: iterations of layer-wise fine-tuning once all are chosen.
    """

    additions: tuple[int, ...]
    tuning: tuple[int, ...]
    final: int


def greedy_plan(num_keep: int, num_iterations: int) -> GreedyPlan:
    """Share the iterations for a layer out.

    Half of them go to the greedy steps. There are as many steps as channels, one channel each, as
    in the paper, unless that would leave steps without an iteration: then steps add several, the
    later ones more, when there is more to go by.

    Args:
        num_keep: channels to choose, at least 1.
        num_iterations: at least 1.

    Returns:
        The plan.

    Example:
        >>> greedy_plan(3, 12)
        GreedyPlan(additions=(1, 1, 1), tuning=(2, 2, 2), final=6)
        >>> greedy_plan(5, 4)
        GreedyPlan(additions=(2, 3), tuning=(1, 1), final=2)
    """
    greedy = num_iterations // 2
    num_steps = max(1, min(num_keep, greedy))
    return GreedyPlan(
        additions=_shares(num_keep, num_steps),
        tuning=_shares(greedy, num_steps)[::-1],
        final=num_iterations - greedy,
    )


def _shares(total: int, number: int) -> tuple[int, ...]:
    """Divide a total as evenly as whole numbers allow, the larger shares last."""
    least, rest = divmod(total, number)
    return (least,) * (number - rest) + (least + 1,) * rest
