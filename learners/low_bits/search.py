"""Bits as a search problem: tables of rounded kernels, what bits cost, which budgets can be met.

| kind | counted |
|:--|:--|
| bits | of the kernels that are chosen for, weights times bits; the whole is 32 each |
| bytes | of all numbers of the network as a packed file holds them: indices, scales or codebooks, all other weights in float32, kernels of more than 8 bits too; the whole is all of them in float32 |

The first and the last layer have bits of their own, see `bits.py`.
"""  # noqa: E501  a table

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from learners.base import AbstractLearner
from learners.budget import KINDS, Budget, Limit, describe
from learners.kernels.layers import KernelLayer
from learners.kernels.problem import KernelProblem, choice_layers, kernel_problem
from learners.kernels.tables import KernelTables, Moments
from learners.low_bits.bits import edge_bits, edge_layers, quantized_layers
from learners.low_bits.coding import Code, Coding
from learners.low_bits.config import WHOLE_BITS, LowBitConfig
from learners.low_bits.rounding import round_to_code
from learners.low_bits.start import nearest_values
from utils.errors import InputError
from utils.graph import Graph
from utils.progress import WorkProgress
from utils.quantization.bit_packing import MAX_WIDTH

MAX_OWN_ORDER_BITS = 3  # with more bits, rows rounded in one order for all outputs serve as well
NUM_MOVES = 2  # of a code's values, for the tables
_BYTE = 8.0


@dataclasses.dataclass(frozen=True)
class BitMethod:
    """Implements `learners.kernels.tables.Method`: a kernel rounded to each number of bits.

    Attributes:
        coding: settles the codes.
        bits: what there is to choose from, ascending.
        by_moments: round by the second moments of a layer's inputs, as the learner then does; else
            to the nearest values.
    """

    coding: Coding
    bits: tuple[int, ...]
    by_moments: bool = True

    def choices(self, layer: KernelLayer, kernel: np.ndarray) -> tuple[int, ...]:
        """All layers have the same choice; none is left as it is."""
        return self.bits

    def versions(
        self, layer: KernelLayer, kernel: np.ndarray, moments: Moments | None
    ) -> Iterable[tuple[int, np.ndarray]]:
        """Round a kernel; see `learners.low_bits.rounding`."""
        present = None if kernel.all() else kernel != 0
        for bits in self.bits:

            def fit(values: np.ndarray, importance: np.ndarray | None, bits: int = bits) -> Code:
                return self.coding.fit(layer, values, bits, importance)

            if moments is None or not self.by_moments:
                yield bits, nearest_values(kernel, fit(kernel, None))
                continue
            rounded, _ = round_to_code(
                moments.gram,
                moments.cross,
                fit,
                kernel=kernel,
                present=present,
                num_moves=NUM_MOVES,
                own_orders=None if bits <= MAX_OWN_ORDER_BITS else False,
            )
            yield bits, rounded


class BitCost:
    """Counts candidates, see the module.

    Args:
        layers: those that are chosen for.
        others: bits of all other numbers of the network together.
        coding: says what scales or codebooks take.
    """

    def __init__(self, layers: Sequence[KernelLayer], others: float, coding: Coding) -> None:
        self._layers = tuple(layers)
        self._sizes = np.array([layer.size for layer in layers], float)
        self._others = others
        self._coding = coding

    def __call__(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Count candidates int [n, layers]: kind -> float64 [n]."""
        values = np.asarray(values)
        bits = values @ self._sizes
        stored = np.where(values > MAX_WIDTH, WHOLE_BITS, values) @ self._sizes
        tables = np.zeros(len(values))
        for layer, column in zip(self._layers, values.T, strict=True):
            found, places = np.unique(column, return_inverse=True)
            taken = [
                0 if number > MAX_WIDTH else self._coding.table_bits(layer, int(number))
                for number in found
            ]
            tables += np.array(taken, float)[places]
        return {"bits": bits, "bytes": (stored + tables + self._others) / _BYTE}


def chosen_layers(graph: Graph, config: LowBitConfig) -> list[KernelLayer]:
    """List the kernels that a search chooses for.

    Raises:
        InputError: if none is left beside the first and the last.
    """
    edges = edge_layers(graph, config)
    chosen = [la for la in quantized_layers(graph, config) if la.layer not in edges]
    if not chosen:
        raise InputError(
            f"{config.search_flag} has no kernel to choose for: network {graph.name!r} has a first "
            f"and a last one only, beside those that are skipped. Give "
            f"--{config.PREFIX}quantize_all_layers."
        )
    return chosen


def counted(
    graph: Graph, config: LowBitConfig, budget: Budget, coding: Coding
) -> tuple[list[KernelLayer], BitCost, dict[str, float]]:
    """Say for which kernels bits are chosen, what they cost, and how much they may.

    Args:
        graph: the untouched network.
        config: the flags.
        budget: what may be kept.
        coding: settles the codes.

    Returns:
        The kernels, the costs, and kind -> the amount that the budget leaves.

    Raises:
        InputError: a budget that no bits meet; says what can be reached.
    """
    layers, bits = chosen_layers(graph, config), _choices(config)
    cost = BitCost(layers, _other_bits(graph, layers, config, coding), coding)
    full = {
        "bits": float(WHOLE_BITS * sum(layer.size for layer in layers)),
        "bytes": WHOLE_BITS * _num_numbers(graph) / _BYTE,
    }
    ends = cost(np.array([[bits[0]] * len(layers), [bits[-1]] * len(layers)]))
    targets = budget.targets(full)
    search, prefix = config.searching, config.PREFIX
    refuse_out_of_reach(
        budget,
        full,
        ends,
        bits=f"{search.w_bit_min} to {search.w_bit_max} bits",
        advice=f", or another --{prefix}w_bit_min or --{prefix}w_bit_max",
    )
    return layers, cost, targets


def _choices(config: LowBitConfig) -> tuple[int, ...]:
    return tuple(range(config.searching.w_bit_min, config.searching.w_bit_max + 1))


def bit_problem(learner: AbstractLearner, graph: Graph, coding: Coding) -> KernelProblem:
    """Make the problem of a learner's search.

    Args:
        learner: its config is a `LowBitConfig`; it has a `sampler` and `rounds_on_walk`.
        graph: the untouched network.
        coding: settles the codes.

    Returns:
        The problem.

    Raises:
        InputError: a budget that no bits meet; says what can be reached.
    """
    config, budget = learner.config, learner.context.budget
    if budget is None:
        raise ValueError("a search needs `context.budget`. Received: None.")
    bits = _choices(config)
    layers, cost, targets = counted(graph, config, budget, coding)

    def make_tables() -> KernelTables:
        with WorkProgress("rounding kernels to all bits", "layers") as progress:
            return KernelTables(
                graph,
                layers,
                learner.sampler(),  # type: ignore[attr-defined]
                BitMethod(coding, bits, by_moments=learner.rounds_on_walk),  # type: ignore[attr-defined]
                on_layer=progress.update,
            )

    amounts = tuple(Limit(kind, amount=target) for kind, target in targets.items())
    return kernel_problem(
        learner,
        graph,
        choice_layers(layers, dict.fromkeys((layer.name for layer in layers), bits)),
        cost,
        Budget(budget.text, amounts),
        make_tables,
        num_sampled=config.nb_smpls,
    )


def _other_bits(
    graph: Graph, chosen: Sequence[KernelLayer], config: LowBitConfig, coding: Coding
) -> float:
    """Count the bits of what is not chosen for: the first and the last layer, and all floats."""
    names = {layer.name for layer in chosen}
    layers = quantized_layers(graph, config)
    edges = [layer for layer in layers if layer.name not in names]
    quantized = sum(layer.size for layer in layers)
    bits = edge_bits(0)
    return float(
        WHOLE_BITS * (_num_numbers(graph) - quantized)
        + sum(layer.size * bits + coding.table_bits(layer, bits) for layer in edges)
    )


def _num_numbers(graph: Graph) -> int:
    return sum(array.size for arrays in graph.params.values() for array in arrays.values())


def refuse_out_of_reach(
    budget: Budget,
    full: Mapping[str, float],
    ends: Mapping[str, np.ndarray],
    *,
    bits: str,
    advice: str = "",
) -> None:
    """Refuse a budget that the fewest bits exceed, or that the most bits do not use up.

    Args:
        budget: what may be kept.
        full: kind -> the amount of which a budget's shares are.
        ends: kind -> what the fewest and the most bits cost, [2].
        bits: what there is to choose from, in words.
        advice: what else can be done about it.

    Raises:
        InputError: if so; gives the reachable range.
    """
    targets = budget.targets(full)
    over = [k for k, t in targets.items() if t < ends[k][0] * (1 - KINDS[k].tolerance)]
    idle = all(t > ends[k][1] * (1 + KINDS[k].tolerance) for k, t in targets.items())
    if not over and not idle:
        return
    ranges = "; ".join(
        f"{kind} between {ends[kind][0] / full[kind]:.4f} ({describe(kind, ends[kind][0])}) and "
        f"{ends[kind][1] / full[kind]:.4f} ({describe(kind, ends[kind][1])})"
        for kind in over or targets
    )
    raise InputError(
        f"The budget {budget.text} cannot be met with {bits}: this network can keep {ranges}. "
        f"Choose a target in that range{advice}."
    )
