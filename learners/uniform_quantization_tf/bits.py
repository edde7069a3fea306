"""How many bits each kernel gets: one flag, a setting, equal ones by a budget, or a search.

A search chooses between the bits that files hold: 4 and 8. Its candidates are the float network
with kernels rounded on the grids of the integer ones, looked up in tables; the quantizers of
activations, which all candidates share, come with the training of the winner.
"""

from collections.abc import Sequence

import numpy as np

from learners.base import AbstractLearner
from learners.budget import Budget, Limit
from learners.kernels.layers import KernelLayer
from learners.kernels.problem import KernelProblem, LinearCost, choice_layers, kernel_problem
from learners.kernels.tables import KernelTables
from learners.low_bits.config import WHOLE_BITS as FLOAT_BITS
from learners.low_bits.search import BitMethod, refuse_out_of_reach
from learners.search.budget import ChoiceBudget
from learners.setting import Setting
from learners.uniform_quantization_tf.config import (
    HELD_BITS,
    LEAST_BITS,
    WHOLE_BITS,
    UniformQuantTFConfig,
)
from learners.uniform_quantization_tf.network import plan_of
from learners.uniform_quantization_tf.start import IntegerCoding, integer_layers
from utils.errors import InputError
from utils.graph import Graph
from utils.progress import WorkProgress


def chosen_layers(layers: Sequence[KernelLayer], config: UniformQuantTFConfig) -> list[KernelLayer]:
    """List the kernels whose bits are open: all but those of the first and the last layer.

    Args:
        layers: the quantized kernels of a network, in order.
        config: with `quantize_all_layers` none is left out.
    """
    edges = (
        set() if config.quantize_all_layers else {la.layer for la in (*layers[:1], *layers[-1:])}
    )
    return [layer for layer in layers if layer.layer not in edges]


def weight_bits(
    layers: Sequence[KernelLayer], config: UniformQuantTFConfig, setting: Setting | None
) -> dict[str, int]:
    """Give each kernel its bits, by name; those of the first and the last layer have 8.

    Args:
        layers: the quantized kernels.
        config: the flags.
        setting: says it for the others; None: `weight_bits` for all of them.

    Raises:
        InputError: a setting for other kernels, or with bits that there are not.

    Example:
        >>> weight_bits([], UniformQuantTFConfig(), None)
        {}
    """
    chosen = chosen_layers(layers, config)
    values = dict.fromkeys((layer.name for layer in chosen), config.weight_bits)
    if setting is not None:
        values = setting.values_for({layer.name: layer.size for layer in chosen})
    for name, bits in values.items():
        if not LEAST_BITS <= bits <= WHOLE_BITS:
            raise InputError(
                f"--setting: {name!r} is given {bits} bits. In integers it can have {LEAST_BITS} "
                f"to {WHOLE_BITS}."
            )
    return {layer.name: values.get(layer.name, WHOLE_BITS) for layer in layers}


def bit_choices(
    layers: Sequence[KernelLayer], config: UniformQuantTFConfig, budget: Budget
) -> ChoiceBudget:
    """Say what there is to choose, what it costs and how much it may.

    Args:
        layers: the quantized kernels.
        config: the flags.
        budget: what may be kept of 32 bits for each weight of the chosen kernels.

    Raises:
        InputError: a budget that no bits meet; says what can be reached. No kernel to choose for.
    """
    chosen = chosen_layers(layers, config)
    if not chosen:
        raise InputError(
            f"{config.search_flag} and --budget have no kernel to choose for: the network has a "
            f"first and a last one only. Give --{config.PREFIX}quantize_all_layers."
        )
    sizes = np.array([layer.size for layer in chosen], float)
    full = {"bits": FLOAT_BITS * float(sizes.sum())}
    ends = {"bits": float(sizes.sum()) * np.array([HELD_BITS[0], HELD_BITS[-1]])}
    refuse_out_of_reach(budget, full, ends, bits=" or ".join(map(str, HELD_BITS)) + " bits")
    amounts = tuple(Limit(kind, amount=part) for kind, part in budget.targets(full).items())
    return ChoiceBudget(
        "bits",
        choice_layers(chosen, dict.fromkeys((layer.name for layer in chosen), HELD_BITS)),
        LinearCost("bits", sizes, 0.0),
        Budget(budget.text, amounts),
    )


def bit_problem(learner: AbstractLearner, graph: Graph) -> KernelProblem:
    """Make the problem of a learner's search.

    Args:
        learner: its config is a `UniformQuantTFConfig`; it has a `sampler`.
        graph: the network of the integer form, in float.

    Returns:
        The problem.

    Raises:
        InputError: see `bit_choices`.
    """
    config, budget = learner.config, learner.context.budget
    if budget is None:
        raise ValueError("a search needs `context.budget`. Received: None.")
    plan = plan_of(graph)
    layers = integer_layers(graph, plan)
    choices = bit_choices(layers, config, budget)
    coding = IntegerCoding({(place.layer, place.weight): place.axes for place in plan.weights})

    def make_tables() -> KernelTables:
        with WorkProgress("rounding kernels to all bits", "layers") as progress:
            return KernelTables(
                graph,
                chosen_layers(layers, config),
                learner.sampler(),  # type: ignore[attr-defined]
                BitMethod(coding, HELD_BITS, by_moments=config.rounding == "obq"),
                on_layer=progress.update,
            )

    return kernel_problem(
        learner,
        graph,
        choices.layers,
        choices.cost,
        choices.budget,
        make_tables,
        num_sampled=config.nb_smpls,
    )
