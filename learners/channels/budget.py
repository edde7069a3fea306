"""Channel counts as choices, and the budget that they have to meet."""

import os
import pathlib
import platform
from collections.abc import Callable, Sequence

import numpy as np

from learners.budget import Budget, describe
from learners.channels.cost import STORED, NetworkCost
from learners.channels.latency_table import LatencyTable
from learners.channels.measured import (
    FileMeter,
    MeasuredCost,
    Measurements,
    Predictor,
    measured_kinds,
)
from learners.channels.memory import PeakMemory
from learners.identity import network_digest
from learners.search.budget import ChoiceBudget
from learners.search.choices import ChoiceLayer, untouched
from utils.export.targets import find_target
from utils.graph import ChannelGroup, Graph, to_keras

CALIBRATION_RATIOS = (0.0, 0.35, 0.7)  # uniform networks that predictions are fitted to
VECTOR_WIDTH = 8  # channels; kernels of CPUs and phones compute whole multiples of it
_COUNTED = ("flops", "params")  # kinds that need no file
Wider = Callable[[], Sequence[ChannelGroup]]


def count_choices(size: int, step: int) -> tuple[int, ...]:
    """List the counts that a group may keep.

    Args:
        size: its channels.
        step: counts are multiples of this, and the size itself; a group no larger than `step`
            may keep any number.

    Returns:
        Ascending, the last is `size`.

    Example:
        >>> count_choices(20, 8), count_choices(3, 8)
        ((8, 16, 20), (1, 2, 3))
    """
    step = step if size > step else 1
    return (*range(step, size, step), size)


def latency_choices(size: int, step: int) -> tuple[int, ...]:
    """List the counts worth a measurement of time: multiples of `step`, at least four of them.

    Half a step is among them, so that a layer can be made small.

    Example:
        >>> latency_choices(64, 16), latency_choices(16, 16), latency_choices(2, 16)
        ((8, 16, 32, 48, 64), (2, 4, 8, 12, 16), (1, 2))
    """
    step = max(1, min(step, size // 4))
    return tuple(sorted({max(step // 2, 1), *range(step, size, step), size}))


def channel_layers(
    graph: Graph, groups: Sequence[ChannelGroup], choices: Sequence[tuple[int, ...]]
) -> list[ChoiceLayer]:
    """Describe groups as layers with choices; shape and parameters are those of their readers.

    Args:
        graph: the network.
        groups: the groups.
        choices: of each.

    Returns:
        One layer per group, in order.
    """
    layers = []
    for group, counts in zip(groups, choices, strict=True):
        kernels = [
            max(graph.params[graph.node(reader.node).layer].values(), key=lambda array: array.size)
            for reader in group.readers
        ]
        shape = kernels[0].shape if kernels else ()
        layers.append(
            ChoiceLayer(group.name, counts, shape, sum(kernel.size for kernel in kernels))
        )
    return layers


class ChannelBudget(ChoiceBudget):
    """A budget for the channel counts of a network.

    Counts that are multiples of `VECTOR_WIDTH` run faster for their size, 32 channels take less
    time than 31, so they are preferred for the uniform candidate.

    Args:
        graph: the whole network.
        groups: the groups (or segments) that are pruned.
        budget: what may be kept.
        round_to: counts are multiples of this.
        latency_step: with a latency budget, they are multiples of this where `round_to` is 1.
        measurements_path: keeps what was measured for a resumed run; None in memory.
        prefix: of the learner's flags, for messages.
        wider: gives the groups that `residual=joint` would prune, for the message about a budget
            out of reach; None where that is not the learner's choice.

    Raises:
        InputError: the budget cannot be met; gives the reachable range.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[ChannelGroup],
        budget: Budget,
        *,
        round_to: int = 1,
        latency_step: int = 16,
        measurements_path: pathlib.Path | None = None,
        prefix: str = "cpr_",
        wider: Wider | None = None,
    ) -> None:
        timed = "latency" in budget.kinds and round_to == 1
        choices = [
            latency_choices(group.size, latency_step)
            if timed
            else count_choices(group.size, round_to)
            for group in groups
        ]
        layers = channel_layers(graph, groups, choices)
        cost = cost_model(NetworkCost(graph, groups), layers, budget, measurements_path)

        def hint() -> str:
            joint = "" if wider is None else joint_words(graph, wider(), budget, round_to, prefix)
            fewer = f"fewer --{prefix}skip_* flags"
            return f"let more be cut: {joint}, or {fewer}" if joint else f"let more be cut: {fewer}"

        super().__init__("channels", layers, cost, budget, step=VECTOR_WIDTH, hint=hint)


def joint_words(
    graph: Graph, wider: Sequence[ChannelGroup], budget: Budget, round_to: int, prefix: str
) -> str:
    """Say what cutting residual streams, too, would reach.

    Args:
        graph: the whole network.
        wider: the groups that can go then.
        budget: its kinds are counted, where that needs no file.
        round_to: counts are multiples of this.
        prefix: of the learner's flags.

    Returns:
        Such as "--cpr_residual=joint, which reaches flops:0.012 (493 k)"; empty where the network
        has no streams that could go.
    """
    if not any(group.is_stream for group in wider):
        return ""
    counted = NetworkCost(graph, wider)
    smallest = [count_choices(group.size, round_to)[0] for group in wider]
    least, full = (
        counted(np.array([values])) for values in (smallest, [group.size for group in wider])
    )
    reached = " and ".join(
        f"{kind}:{_up(least[kind][0] / full[kind][0])} ({describe(kind, least[kind][0])})"
        for kind in budget.kinds
        if kind in _COUNTED
    )
    return f"--{prefix}residual=joint{', which reaches ' if reached else ''}{reached}"


def _up(share: float) -> str:
    """Write a share that can be asked for: with three digits, none of them rounded down."""
    return f"{np.ceil(share * 1000) / 1000:.3f}"


def cost_model(
    counted: NetworkCost,
    layers: Sequence[ChoiceLayer],
    budget: Budget,
    measurements_path: pathlib.Path | None,
) -> "_Counted | MeasuredCost":
    """Make the cost model that a budget needs.

    Args:
        counted: counts candidates.
        layers: the groups' choices, in the same order.
        budget: its kinds say what has to be measured.
        measurements_path: keeps what was measured; None in memory.

    Returns:
        A cost model of the kinds that budgets know.
    """
    kinds = measured_kinds(budget.kinds)
    if not kinds:
        return _Counted(counted)
    whole = counted.cut(untouched(layers))
    measurements = Measurements(measurements_path, _subject(whole) if measurements_path else "")
    predictors: dict[str, Predictor] = {
        "bytes": lambda values: counted(values)[STORED],
    }
    if "cycles" in kinds:
        predictors["cycles"] = cycles_predictor(counted, budget.target)
    if "latency" in kinds:
        predictors["latency"] = LatencyTable(counted, layers, measurements)
    if "sram" in kinds:
        predictors["sram"] = PeakMemory(counted, untouched(layers))
    candidates = np.array(
        [
            [_nearest(layer.choices, (1 - ratio) * layer.choices[-1]) for layer in layers]
            for ratio in CALIBRATION_RATIOS
        ]
    )
    return MeasuredCost(
        counted,
        kinds,
        FileMeter(counted, untouched(layers), measurements, budget.target),
        predictors=predictors,
        candidates=candidates,
    )


def cycles_predictor(counted: NetworkCost, target: str | None) -> Predictor:
    """Predict cycles of an Ethos-U, but for what all candidates have in common.

    A layer takes as long as its multiply-adds, or as reading its weights, whichever is longer.

    Args:
        counted: counts candidates.
        target: of `utils.export.targets.NAMES`.
    """
    device = find_target(target or "")

    def predict(values: np.ndarray) -> np.ndarray:
        found = counted.per_weight(values)
        computed, read = found["flops"] / device.macs, found["params"] / device.weight_bytes
        return np.asarray(np.maximum(computed, read).sum(axis=1))

    return predict


def _subject(graph: Graph) -> str:
    """Say of which network, for which inputs and on which machine files are measured."""
    model = to_keras(graph)
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    return f"{network_digest(model)} {shapes} {platform.node()} {os.cpu_count()}"


class _Counted:
    """The counted kinds that budgets know."""

    def __init__(self, counted: NetworkCost) -> None:
        self._counted = counted

    def __call__(self, values: np.ndarray) -> dict[str, np.ndarray]:
        costs = self._counted(values)
        return {kind: amounts for kind, amounts in costs.items() if kind != STORED}


def _nearest(choices: Sequence[int], wish: float) -> int:
    return min(choices, key=lambda choice: abs(choice - wish))
