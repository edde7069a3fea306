"""From a recipe and a network: the parts of the training, and what stays of each group in each."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from learners.filter_pruning.recipe import Pruner, Recipe
from learners.filters.choice import count_left, filter_groups, named_ratios
from utils.errors import InputError
from utils.graph import ChannelGroup, Graph

_FULL = 1.0 - 1e-9

FinalCounts = Callable[[Sequence[ChannelGroup]], Mapping[str, int]]
"""Says for groups how many channels of each stay in the end, by name."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """Filters that go at one step, by one criterion.

    Attributes:
        criterion: a row of the table.
        counts: group name -> channels that stay.
    """

    criterion: str
    counts: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the training.

    Attributes:
        name: of its fit.
        first_step: of the whole training.
        num_steps: its length.
        cuts: what is cut before it.
    """

    name: str
    first_step: int
    num_steps: int
    cuts: tuple[Cut, ...]


def training_parts(
    recipe: Recipe, *, num_steps: int, steps_per_epoch: int
) -> list[tuple[int, int]]:
    """Cut a training at the epochs at which filters go.

    Args:
        recipe: its steps.
        num_steps: of the whole training.
        steps_per_epoch: steps of an epoch.

    Returns:
        First step and length of each part: one for each step of the recipe, before them one without
        a cut where the first comes later than the start.

    Raises:
        InputError: if a step comes when the training is over.
    """
    starts = [round(step.epoch * steps_per_epoch) for step in recipe.steps]
    for step, start in zip(recipe.steps, starts, strict=True):
        if start and start >= num_steps:
            raise InputError(
                f"{recipe.source}: filters would go after epoch {step.epoch:g}, and training lasts "
                f"{num_steps / steps_per_epoch:g} epochs. Give a larger --nb_epochs, or smaller "
                "`epochs` in `prune_schedulers`."
            )
    if starts[0]:
        starts = [0, *starts]
    ends = [*starts[1:], num_steps]
    return [(start, end - start) for start, end in zip(starts, ends, strict=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """What the flags say beside the recipe.

    Attributes:
        residual: `inner` or `joint`.
        skipped: parts of names of layers that are left alone.
        round_to: counts are multiples of it.
    """

    residual: str = "inner"
    skipped: Sequence[str] = ()
    round_to: int = 1


def group_ratios(
    graph: Graph, pruner: Pruner, choice: Choice, source: str
) -> dict[str, float | None]:
    """Say which groups a pruner cuts and by how much; None where a budget rules."""
    if pruner.layers is not None:
        return named_ratios(graph, pruner.layers, source)
    groups = filter_groups(graph, residual=choice.residual, skipped=choice.skipped, prefix="fp_")
    return {group.name: pruner.ratio for group in groups}


def recipe_cuts(
    graph: Graph,
    recipe: Recipe,
    choice: Choice,
    final: FinalCounts | None = None,
) -> list[tuple[Cut, ...]]:
    """Say what stays of each group after each step of a recipe.

    Args:
        graph: the network before the first step; ratios are fractions of its widths.
        recipe: the steps.
        choice: what else the flags say.
        final: gives the counts after the last step, where a budget or a setting rules: each step
            then takes the same share of what goes. None for the recipe's ratios.

    Returns:
        For each step its cuts.

    Raises:
        InputError: for layers that are not there, groups pruned twice at one epoch, ratios that
            leave nothing.
    """
    widths = {group.name: group for group in filter_groups(graph, residual="joint")}
    found = [
        [(pruner, group_ratios(graph, pruner, choice, recipe.source)) for pruner in step.pruners]
        for step in recipe.steps
    ]
    _refuse_twice(recipe, found)
    times: dict[str, int] = {}
    for pairs in found:
        for _, ratios in pairs:
            times |= {name: times.get(name, 0) + 1 for name in ratios}
    ends = None if final is None else final([group for n, group in widths.items() if n in times])
    removed = dict.fromkeys(times, 0.0)
    result = []
    for pairs in found:
        cuts = []
        for pruner, ratios in pairs:
            counts = {}
            for name, ratio in ratios.items():
                size = widths[name].size
                share = 1 / times[name] if ends is not None else float(ratio or 0.0)
                removed[name] += share
                if ends is not None:
                    counts[name] = size - round((size - ends[name]) * removed[name])
                else:
                    _refuse_empty(removed[name], name, recipe.source)
                    counts[name] = count_left(size, removed[name], choice.round_to)
            cuts.append(Cut(pruner.criterion, counts))
        result.append(tuple(cuts))
    return result


def _refuse_twice(
    recipe: Recipe, found: Sequence[Sequence[tuple[Pruner, Mapping[str, float | None]]]]
) -> None:
    for step, pairs in zip(recipe.steps, found, strict=True):
        seen: dict[str, str] = {}
        for pruner, ratios in pairs:
            for name in ratios:
                if name in seen:
                    raise InputError(
                        f"{recipe.source}: at epoch {step.epoch:g} both `pruners.{seen[name]}` and "
                        f"`pruners.{pruner.name}` prune {name!r}. Let one of them do it, or give "
                        "them different epochs."
                    )
                seen[name] = pruner.name


def _refuse_empty(removed: float, name: str, source: str) -> None:
    if removed >= _FULL:
        raise InputError(
            f"{source}: {name!r} would lose all filters: ratios are fractions of the original "
            f"width, and they add up to {removed:g}. Let them stay below 1."
        )
