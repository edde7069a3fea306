"""Fine-tuning until a file is inside: smaller networks than without serve, larger ones if not.

The hunt allows `LOOSE` times as much before. What is tuned and still loses too much is followed by
a larger one: between it and the smallest that was inside without training, the last try by that
one itself. Where training makes a file outgrow the budget for bytes, a smaller one follows. What
loses more after training than before is not taken: closed forms leave little to gain, and few
epochs at too high a rate lose it.
"""

import math
from collections.abc import Callable
from typing import TypeVar

from learners.auto.search import Goal, Search
from learners.auto.workshop import Candidate

LOOSE = 6.0  # times max_drop: what may be lost before
STEP_UP = 1.3  # in bytes, where none was inside without training
ROOM = 0.01  # of a budget for bytes: weights that were trained take more, deflated
EXCESS = 1.25  # of the bytes beyond the budget, that the next one has less

Network = TypeVar("Network")
Tune = Callable[[Candidate, int], tuple[Candidate, Network]]
"""(candidate, number of the try, from 1) -> the same with what its file then loses; its network."""


def tuned(
    search: Search,
    goal: Goal,
    tune: Tune[Network],
    num_tunings: int,
    untuned: Callable[[Candidate], tuple[Candidate, Network]],
) -> tuple[Candidate, Network]:
    """Fine-tune candidates until one is inside.

    Args:
        search: makes candidates.
        goal: what is wanted.
        tune: fine-tunes one and checks its file.
        num_tunings: how many, at most.
        untuned: makes the network of a candidate as it is.

    Returns:
        The one that is inside, and its network; the first where only budgets rule. It is one that
        was not fine-tuned where that loses less.

    Raises:
        InputError: if none is, or none keeps the budget for bytes; says what the best loses.
    """
    max_drop = goal.max_drop
    looser = None if max_drop is None else LOOSE * max_drop
    candidate = search.run(looser, room=ROOM) or search.nearest()
    for number in range(1, num_tunings + 1):
        done, network = tune(candidate, number)
        search.tuned.append(done)
        is_within = search.is_within(done)
        best = min((done, candidate), key=lambda each: each.trial.drop)
        if best is candidate and search.is_within(candidate) and _serves(candidate, max_drop):
            return untuned(candidate)
        if is_within and _serves(done, max_drop):
            return done, network
        if number == num_tunings:
            break
        if is_within and max_drop is not None:
            candidate = _larger(search, candidate, max_drop, is_last=number == num_tunings - 1)
        else:
            candidate = _smaller(search, candidate, done.trial.num_bytes - (goal.max_bytes or 0.0))
    if max_drop is None or not any(map(search.is_within, search.tuned)):
        raise search.unmet(search.tuned)
    raise search.refuse(max_drop)


def _serves(candidate: Candidate, max_drop: float | None) -> bool:
    return max_drop is None or candidate.trial.drop <= max_drop


def _smaller(search: Search, candidate: Candidate, excess: float) -> Candidate:
    return search.make(max(candidate.trial.size - EXCESS * excess, search.workshop.least))


def _larger(search: Search, candidate: Candidate, max_drop: float, *, is_last: bool) -> Candidate:
    safe = search.best(max_drop)  # inside without training
    if safe is None:
        return search.make(min(candidate.trial.size * STEP_UP, search.most))
    if is_last:
        return safe
    return search.make(math.sqrt(candidate.trial.size * safe.trial.size))
