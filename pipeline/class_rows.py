"""A row per class of the report: for which samples the answer changed."""

import numpy as np

from utils.export.hits import Choices
from utils.report import ClassChange

MAX_CLASSES = 1000  # more say nothing to a reader


def class_rows(before: Choices | None, after: Choices | None) -> tuple[ClassChange, ...]:
    """Compare, class by class, what two networks choose for the same samples.

    Args:
        before: what the first chose.
        after: what the second chose.

    Returns:
        A row per class that samples are of, in order; none where either is not known, or the
        samples are not the same.

    Example:
        >>> labels = np.array([0, 0, 1, 1])
        >>> rows = class_rows(
        ...     Choices(labels, np.array([0, 1, 1, 1])), Choices(labels, np.array([0, 0, 1, 0]))
        ... )
        >>> [(row.label, row.lost, row.gained, row.taken_for) for row in rows]
        [(0, 0, 1, None), (1, 1, 0, 0)]
    """
    if before is None or after is None or not np.array_equal(before.labels, after.labels):
        return ()
    labels = np.unique(before.labels)
    if len(labels) > MAX_CLASSES or labels[0] < 0:
        return ()
    return tuple(_row(int(label), before, after) for label in labels)


def _row(label: int, before: Choices, after: Choices) -> ClassChange:
    own = before.labels == label
    was_right, is_right = before.chosen[own] == label, after.chosen[own] == label
    lost = after.chosen[own][was_right & ~is_right]
    return ClassChange(
        label=label,
        num_samples=int(own.sum()),
        right_before=int(was_right.sum()),
        right_after=int(is_right.sum()),
        lost=len(lost),
        gained=int((is_right & ~was_right).sum()),
        taken_for=int(np.bincount(lost).argmax()) if len(lost) else None,
    )
