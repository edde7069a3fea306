"""Inverted-residual and squeeze-and-excite blocks, found by topology.

Both have channels that nothing outside the block sees:

- inverted residual: a 1x1 convolution makes many channels, a depthwise one passes them, a 1x1
  convolution makes few of them;
- squeeze and excite: a map is pooled to one position, a layer makes few channels of it, another
  one as many as there were, and these are multiplied with the map.

References: Sandler et al., "MobileNetV2", 2018, arXiv:1801.04381; Hu et al.,
"Squeeze-and-Excitation Networks", 2018, arXiv:1709.01507.
"""

from collections.abc import Sequence

from learners.filters.choice import filter_groups, makers
from learners.name_parts import require_known
from utils.graph import ChannelGroup, Graph, Node, Ref, ops
from utils.graph.row import channel_axis

_INVERTED, _SQUEEZE = "inverted residual", "squeeze and excite"
_NO_BLOCKS = (
    "the network has no inverted-residual and no squeeze-and-excite block{where}: filters of all "
    "inner layers are pruned."
)


def soft_groups(
    graph: Graph, scope_names: Sequence[str] = (), *, source: str = "`scope_names`"
) -> tuple[list[ChannelGroup], str | None]:
    """List the groups that soft pruning works on.

    Args:
        graph: the network.
        scope_names: only groups that a layer makes whose name contains one of these parts.
        source: what gives them, for messages.

    Returns:
        The inner channels of the blocks; of a network without any, all groups but residual streams,
        and a sentence that says so.

    Raises:
        InputError: if no filters can be pruned, or a part is in no name.
    """
    groups = filter_groups(graph)
    names = sorted({name for group in groups for name in makers(graph, group)})
    require_known(scope_names, names, source=source, which="whose filters can be pruned")
    if scope_names:
        groups = [
            group
            for group in groups
            if any(part in name for part in scope_names for name in makers(graph, group))
        ]
    inner = [group for group in groups if block_kind(graph, group)]
    if inner:
        return inner, None
    where = f" in {', '.join(scope_names)}" if scope_names else ""
    return groups, _NO_BLOCKS.format(where=where)


def block_kind(graph: Graph, group: ChannelGroup) -> str:
    """Say in which kind of block a group's channels are the inner ones; empty for none."""
    if _is_inverted(graph, group):
        return _INVERTED
    return _SQUEEZE if _is_squeezed(graph, group) else ""


def _is_inverted(graph: Graph, group: ChannelGroup) -> bool:
    """Whether a 1x1 layer makes the channels of fewer, a depthwise passes, a 1x1 reads to fewer."""
    first = graph.node(group.producers[0])
    if not _is_pointwise(graph, first) or not _in_size(graph, first) < group.size:
        return False
    projections = [
        node
        for node in (graph.node(reader.node) for reader in group.readers)
        if _has_positions(graph, node.inputs[0])
    ]
    narrow = all(
        _is_pointwise(graph, node) and _out_size(graph, node) < group.size for node in projections
    )
    return bool(projections) and narrow and _passes_depthwise(graph, first)


def _passes_depthwise(graph: Graph, node: Node) -> bool:
    """Whether a depthwise convolution stands behind a layer, no kernels between."""
    ahead, seen = list(graph.consumers(node.name)), set()
    while ahead:
        at = ahead.pop()
        row = ops.find(graph, at)
        if at.name in seen or row is None or row.kernel is not None:
            continue
        seen.add(at.name)
        if row.uses:  # multiplies with weights, but mixes no channels
            return True
        ahead += graph.consumers(at.name)
    return False


def _is_squeezed(graph: Graph, group: ChannelGroup) -> bool:
    """Whether one layer makes the channels from a pooled map and one reads them to scale it."""
    if len(group.producers) != 1 or len(group.readers) != 1:
        return False
    pooled = _pooled_from(graph, graph.node(group.producers[0]))
    return pooled is not None and _scales(graph, graph.node(group.readers[0].node), pooled)


def _pooled_from(graph: Graph, node: Node) -> Ref | None:
    """Find the map that a layer reads pooled to one position; None where it reads no such thing."""
    while node.inputs:
        source = node.inputs[0]
        if _has_positions(graph, source):
            row = ops.find(graph, node)
            pools = not _has_positions(graph, Ref(node.name)) and row is not None and not row.uses
            return source if pools else None
        node = graph.node(source.node)
        row = ops.find(graph, node)
        if row is None or row.kernel is not None:
            return None
    return None


def _scales(graph: Graph, node: Node, wanted: Ref) -> bool:
    """Whether what a layer gives is, channel by channel, multiplied with a map."""
    while True:
        readers = graph.consumers(node.name)
        if len(readers) != 1:
            return False
        node = readers[0]
        row = ops.find(graph, node)
        if row is None or row.kernel is not None:
            return False
        if len(node.inputs) == 2:
            return node.op.endswith(".Multiply") and wanted in node.inputs


def _has_positions(graph: Graph, ref: Ref) -> bool:
    """Whether a tensor is a map of more than one position (or of an unknown number)."""
    shape = graph.shape(ref)
    if len(shape) < 3:
        return False
    axis = channel_axis(graph.node(ref.node).attrs, len(shape))
    return any(size != 1 for place, size in enumerate(shape) if place not in (0, axis))


def _is_pointwise(graph: Graph, node: Node) -> bool:
    """Whether a layer mixes channels at each position alone."""
    row = ops.find(graph, node)
    if row is None or row.kernel is None or row.window is None:
        return False
    window = row.window(node.attrs)
    return window is not None and window.num_positions == 1


def _in_size(graph: Graph, node: Node) -> int:
    return _size(graph, node, node.inputs[0])


def _out_size(graph: Graph, node: Node) -> int:
    return _size(graph, node, Ref(node.name))


def _size(graph: Graph, node: Node, ref: Ref) -> int:
    shape = graph.shape(ref)
    return shape[channel_axis(node.attrs, len(shape))] or 0
