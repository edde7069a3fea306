"""Which kernels of a network are up for pruning, and how many weights of each stay."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from learners.budget import Budget
from learners.kernels.layers import KernelLayer, kernel_layers, without_skipped
from learners.live_weights import LiveWeights
from learners.name_parts import name_parts
from learners.setting import Setting
from learners.sparsity.masks import Granularity
from learners.sparsity.prune_dict import PruneDict, ratios_by_layer
from learners.weight_sparsification.allocate import PROTOCOLS, Counts, total_left
from utils.errors import InputError
from utils.graph import Graph, complexity

_LAST, _PARTS = _ASKED = ("ws_skip_last_layer", "ws_skip_op_names")


class Flags(Protocol):
    """What is read of the learner's config."""

    @property
    def grain(self) -> Granularity:
        """What goes together."""

    @property
    def prune_ratio(self) -> float:
        """Fraction removed."""

    @property
    def prune_ratio_prtl(self) -> str:
        """How layers share it."""

    @property
    def skip_indivisible(self) -> bool:
        """Leave whole what `grain` does not divide."""

    @property
    def skip_frst_layer(self) -> bool:
        """Leave the first layer whole where it is a convolution."""

    @property
    def skip_last_layer(self) -> bool:
        """Leave the last layer whole."""

    @property
    def skip_op_names(self) -> str | None:
        """Parts of names of layers that are left whole."""

    def ratios(self) -> PruneDict | None:
        """Ratios by layer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Targets:
    """The kernels that are up for pruning.

    Attributes:
        layers: these, in the order of the network.
        whole: name -> reason, of the kernels that are left as they are.
        nonzeros: weights of all of the network that are not zero and not in `layers`.
    """

    layers: tuple[KernelLayer, ...]
    whole: Mapping[str, str]
    nonzeros: int

    @property
    def sizes(self) -> dict[str, int]:
        """Layer name -> number of weights."""
        return {layer.name: layer.size for layer in self.layers}


def find_targets(graph: Graph, config: Flags) -> Targets:
    """List the kernels that the flags let be pruned.

    Kernels of depthwise convolutions are left whole: few weights, each channel's only ones (Zhu &
    Gupta leave MobileNet's, too). Kernels of nothing but zeros are no kernels yet.

    Args:
        graph: the network.
        config: the flags.

    Returns:
        The kernels.

    Raises:
        InputError: if none is left, a prune dict names a layer that is not there, a part of a name
            is in none, or N:M or a tile does not divide a layer.
    """
    layers = kernel_layers(graph)
    first = config.skip_frst_layer and bool(layers) and layers[0].is_convolution
    up, whole = without_skipped(
        layers,
        first="ws_skip_frst_layer" if first else "",
        last=_LAST if config.skip_last_layer else "",
        parts=name_parts(config.skip_op_names),
        source=_PARTS,
    )
    for layer in up:
        if layer.is_depthwise:
            whole[layer.name] = "depthwise"
        elif not layer.matrix(graph.params).any():
            whole[layer.name] = "nothing but zeros"
    up = [layer for layer in up if layer.name not in whole]
    ratios = config.ratios()
    if ratios is not None:
        meant = ratios_by_layer(ratios, [layer.name for layer in layers])
        # A name in the dict takes in what is left whole by default, not what was asked to be.
        asked = {n: why for n, why in whole.items() if why in _ASKED}
        up = [la for la in layers if meant.get(la.name) and la.name not in asked]
        whole = {la.name: "ws_prune_dict" for la in layers if not meant.get(la.name)} | asked
    up = _divided(up, config, whole)
    whole = {layer.name: whole[layer.name] for layer in layers if layer.name in whole}
    if not up:
        found = "; ".join(f"{name} ({reason})" for name, reason in list(whole.items())[:5])
        raise InputError(
            f"{graph.name}: no weights can be pruned: {found or 'no kernels'}. Give fewer "
            "--ws_skip_* flags, or other layers."
        )
    rest = complexity(graph).nonzeros - sum(
        int(np.count_nonzero(layer.matrix(graph.params))) for layer in up
    )
    return Targets(layers=tuple(up), whole=whole, nonzeros=rest)


def _divided(up: Sequence[KernelLayer], config: Flags, whole: dict[str, str]) -> list[KernelLayer]:
    """Leave out, or refuse, what N:M or a tile does not divide."""
    reasons = {layer.name: config.grain.why_not(layer) for layer in up}
    bad = {name: reason for name, reason in reasons.items() if reason}
    if bad and not config.skip_indivisible:
        listed = "; ".join(f"{name}: {reason}" for name, reason in list(bad.items())[:5])
        more = f"; and {len(bad) - 5} others" if len(bad) > 5 else ""
        raise InputError(
            f"`ws_granularity` {config.grain.text} does not divide {len(bad)} of {len(up)} layers "
            f"({listed}{more}). Add --ws_skip_indivisible to leave them whole."
        )
    whole |= {name: f"ws_skip_indivisible, {reason}" for name, reason in bad.items()}
    return [layer for layer in up if layer.name not in bad]


def num_left(targets: Targets, config: Flags, budget: Budget | None, full: int) -> int:
    """Say how many weights of all that are up for pruning stay.

    Args:
        targets: these.
        config: the ratio, where there is no budget.
        budget: of the run, for `nonzeros` of the whole network; None without one.
        full: weights of the whole network that are not zero now.

    Returns:
        The number.

    Raises:
        InputError: if the budget cannot be met.
    """
    if budget is None:
        return total_left(targets.sizes, config.prune_ratio)
    least = targets.nonzeros + len(targets.layers)
    budget.check_reachable(
        {"nonzeros": float(full)}, {"nonzeros": float(least)}, hint="fewer --ws_skip_* flags"
    )
    wanted = budget.targets({"nonzeros": float(full)})["nonzeros"]
    return min(
        max(int(wanted) - targets.nonzeros, len(targets.layers)), sum(targets.sizes.values())
    )


def settled(targets: Targets, config: Flags, left: int) -> Counts:
    """Settle each layer's weights by a prune dict, by N:M, or by a protocol.

    Args:
        targets: the kernels.
        config: the flags.
        left: weights that stay in all, where a protocol shares them out.

    Returns:
        Layer name -> weights that stay, in whole tiles.
    """
    sizes, grain = targets.sizes, config.grain
    if grain.is_pattern:
        return {name: size * grain.stay // grain.of for name, size in sizes.items()}
    tiles = {name: size // grain.unit for name, size in sizes.items()}
    ratios = config.ratios()
    if ratios is not None:
        removed = ratios_by_layer(ratios, [*sizes, *targets.whole])
        counts = {name: max(n - round(removed[name] * n), 1) for name, n in tiles.items()}
    else:
        protocol = PROTOCOLS.get(config.prune_ratio_prtl, PROTOCOLS["uniform"])
        counts = protocol(
            tiles, min(max(round(left / grain.unit), len(tiles)), sum(tiles.values()))
        )
    return {name: count * grain.unit for name, count in counts.items()}


def in_whole_tiles(setting: Setting, targets: Targets, grain: Granularity) -> Counts:
    """Take from a setting how many weights of each layer stay.

    Raises:
        InputError: if it is for other layers, or its counts are no whole tiles.
    """
    counts = setting.values_for(targets.sizes)
    for name, count in counts.items():
        if count % grain.unit:
            raise InputError(
                f"--setting={setting.path} keeps {count} weights of {name!r}, which are no whole "
                f"tiles of `ws_granularity` {grain.text}. Give the granularity that it was "
                "searched with."
            )
    return counts


def refuse_frozen(weights: LiveWeights, targets: Targets, source: str) -> None:
    """Refuse kernels that are not trained where gradients decide: they have none.

    Raises:
        InputError: names them.
    """
    frozen = [
        layer.name
        for layer in targets.layers
        if not all(weights.variable(layer.layer, name).trainable for name in layer.weights)
    ]
    if frozen:
        raise InputError(
            f"{source} goes by gradients, and {', '.join(frozen[:5])} are frozen "
            "(trainable=False). Unfreeze them, name them in --ws_skip_op_names, or give "
            "--ws_criterion=magnitude."
        )
