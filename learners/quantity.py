"""What can be chosen for each layer of a network: one row per quantity.

Budgets, settings and searches read their words and limits here and say nothing of their own about
what the numbers mean.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantity:
    """What is chosen.

    Attributes:
        kinds: of cost that a budget can limit, see `learners.budget.KINDS`; the first is what
            rewards weigh against the score.
        unit: what a layer is given, in the plural.
        size_unit: what a layer's size is counted in, in the plural.
        done: what is done to a layer that something is chosen for.
        most: what a layer is given that is left as it is; None where that is its size.
        file: name of a setting file that a search writes.
    """

    kinds: tuple[str, ...]
    unit: str
    size_unit: str
    done: str
    most: int | None = None
    file: str = "ratios.json"


QUANTITIES = {
    "channels": Quantity(
        kinds=("flops", "params", "bytes", "cycles", "sram", "latency"),
        unit="channels",
        size_unit="channels",
        done="pruned",
    ),
    "sparsity": Quantity(
        kinds=("nonzeros", "bytes"), unit="weights", size_unit="weights", done="pruned"
    ),
    "bits": Quantity(
        kinds=("bits", "bytes"),
        unit="bits",
        size_unit="weights",
        done="quantized",
        most=32,
        file="bits.json",
    ),
    # Channels of groups, and percent of the weights and bits of layers: see `learners.auto.joint`.
    "joint": Quantity(
        kinds=("flops", "params", "bytes", "cycles", "sram", "latency"),
        unit="channels, percent or bits",
        size_unit="channels, percent or bits",
        done="compressed",
        file="setting.json",
    ),
}
