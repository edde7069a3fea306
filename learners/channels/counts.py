"""How many channels of each group stay where a setting or a budget says it, for any learner."""

import pathlib
from collections.abc import Mapping, Sequence

from learners.base import AbstractLearner
from learners.channels.groups import channel_budget
from learners.context import StageContext
from utils.graph import ChannelGroup, Graph


def ruled_counts(
    learner: AbstractLearner,
    graph: Graph,
    groups: Sequence[ChannelGroup],
    *,
    keeps_costs: bool = False,
) -> Mapping[str, int] | None:
    """Settle the counts of a stage: those of its setting, or one uniform ratio for its budget.

    Args:
        learner: the stage's; the budget's remarks go to its notes.
        graph: the network.
        groups: those that are pruned.
        keeps_costs: a resumed run asks again and must come to the same counts, so what is measured
            is kept beside the state.

    Returns:
        Group name -> channels that stay; None where neither is given.
    """
    context = learner.context
    if context.setting is not None:
        return context.setting.values_for({group.name: group.size for group in groups})
    if context.budget is None:
        return None
    path = _measurements_path(context) if keeps_costs else None
    channels = channel_budget(graph, groups, learner.config, context.budget, path)
    values = channels.refined(channels.uniform())
    learner.notes += channels.remarks(values)
    return channels.by_name(values)


def _measurements_path(context: StageContext) -> pathlib.Path:
    """Give the file of what was measured; a run that begins anew finds none."""
    path = context.stage.state_path.with_suffix(".costs.json")
    if not context.run.resume:
        path.unlink(missing_ok=True)
    return path
