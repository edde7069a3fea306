"""How many bits each kernel gets."""

from collections.abc import Sequence

from learners.kernels.layers import KernelLayer, kernel_layers, without_skipped
from learners.low_bits.config import EDGE_BITS, WHOLE_BITS, LowBitConfig
from learners.name_parts import name_parts
from learners.setting import Setting
from utils.errors import InputError
from utils.graph import Graph


def quantized_layers(graph: Graph, config: LowBitConfig) -> list[KernelLayer]:
    """List the kernels that are quantized.

    Args:
        graph: the network.
        config: the flags.

    Returns:
        All but those that are skipped.

    Raises:
        InputError: for a part of a name that no layer has, a network without kernels, buckets
            larger than a kernel.
    """
    source = f"`{config.PREFIX}skip_op_names`"
    parts = name_parts(config.skip_op_names)
    layers = without_skipped(kernel_layers(graph), parts=parts, source=source)[0]
    if not layers:
        raise InputError(
            f"network {graph.name!r} has no kernel to quantize (skipped: {', '.join(parts)})."
            if parts
            else f"network {graph.name!r} has no kernel to quantize. Give one with convolutions or "
            "dense layers."
        )
    _check_buckets(layers, config)
    return layers


def _check_buckets(layers: Sequence[KernelLayer], config: LowBitConfig) -> None:
    size = config.grouping().size
    small = [la for la in layers if size is not None and min(map(_count, la.shapes)) < size]
    if small:
        named = ", ".join(f"{layer.name} ({layer.size})" for layer in small[:5])
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        raise InputError(
            f"`{config.PREFIX}bucket_size` is larger than the kernels of {named}{more}. Received: "
            f"{size}. Choose at most {min(min(map(_count, la.shapes)) for la in small)}, or "
            f"--{config.PREFIX}bucket_type=channel."
        )


def _count(shape: tuple[int, ...]) -> int:
    number = 1
    for size in shape:
        number *= size
    return number


def edge_layers(graph: Graph, config: LowBitConfig) -> frozenset[str]:
    """Give the layers that have bits of their own: the network's first and last with a kernel.

    They are those of the whole network: a layer does not become one where others are skipped.

    Args:
        graph: the network.
        config: the flags.

    Returns:
        Their names; none where all layers are treated alike.
    """
    layers = [] if config.quantize_all_layers else kernel_layers(graph)
    return frozenset(layer.layer for layer in (*layers[:1], *layers[-1:]))


def edge_bits(bits: int) -> int:
    """Give the bits of the first and the last layer where others have so many."""
    return max(bits, EDGE_BITS)


def weight_bits(graph: Graph, config: LowBitConfig, setting: Setting | None) -> dict[str, int]:
    """Settle the bits of each kernel.

    Args:
        graph: the network.
        config: the flags.
        setting: says it for all but the edges; None: one number for all.

    Returns:
        Name -> bits in [1, 16]; kernels that the setting leaves as they are (32) are missing.

    Raises:
        InputError: a setting for other kernels, or with bits that there are not; see
            `quantized_layers`.
    """
    layers, ends = quantized_layers(graph, config), edge_layers(graph, config)
    chosen = [layer for layer in layers if layer.layer not in ends]
    values = dict.fromkeys((layer.name for layer in chosen), config.weight_bits)
    if setting is not None:
        values = setting.values_for({layer.name: layer.size for layer in chosen})
    for name, bits in values.items():
        if config.MOST_BITS < bits < WHOLE_BITS:
            raise InputError(
                f"--setting: {name!r} is given {bits} bits. It can have 1 to {config.MOST_BITS}, "
                f"or {WHOLE_BITS} for a layer that is left as it is."
            )
    edges = edge_bits(0 if setting is not None else config.weight_bits)
    found = {layer.name: values.get(layer.name, edges) for layer in layers}
    return {name: bits for name, bits in found.items() if bits < WHOLE_BITS}


def activation_bits(graph: Graph, config: LowBitConfig) -> dict[str, int]:
    """Settle the bits of what each kernel reads; empty where activations are not quantized."""
    if not config.quantizes_activations:
        return {}
    bits, ends = config.activation_bits, edge_layers(graph, config)
    return {
        layer.name: edge_bits(bits) if layer.layer in ends else bits
        for layer in quantized_layers(graph, config)
    }
