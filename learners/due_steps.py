"""After which steps of a training something is pruned. Without Keras: flags are checked by it."""

from collections.abc import Iterator


def due_steps(pretrain_step: int, sparse_step: int, frequency: int) -> Iterator[tuple[int, float]]:
    """List the steps after which something is pruned, and which share of it by then.

    Args:
        pretrain_step: steps of training before.
        sparse_step: steps during which it is pruned.
        frequency: every so many of them.

    Yields:
        Step and share in (0, 1]; the last share is 1.

    Raises:
        ValueError: if a number is below 0, or `frequency` not in 1 to `sparse_step`.

    Example:
        >>> list(due_steps(100, 60, 20))
        [(120, 0.3333333333333333), (140, 0.6666666666666666), (160, 1.0)]
    """
    if pretrain_step < 0 or not 1 <= frequency <= sparse_step:
        raise ValueError(
            "`pretrain_step` must be at least 0 and `frequency` in 1 to `sparse_step`. Received: "
            f"pretrain_step={pretrain_step}, sparse_step={sparse_step}, frequency={frequency}."
        )
    times = sparse_step // frequency
    for number in range(1, times + 1):
        yield pretrain_step + number * frequency, number / times
