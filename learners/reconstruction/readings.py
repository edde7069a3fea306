"""Which layers of a network can be sampled and refitted, and how each stands in it."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from learners.reconstruction.sampling import BranchTarget, Sampled
from utils.graph import Graph, Node, Ref, ops
from utils.graph.fold import is_linear, normalizes
from utils.graph.row import Window

_SMALLEST_SCALE = 1e-3  # batch norms that scale an output by less cannot make up for an error


@dataclasses.dataclass(frozen=True)
class Offset:
    """Where an offset of a layer's output goes.

    Attributes:
        layer: the layer itself, or the batch norm that alone reads its output.
        weight: its bias, or the norm's mean.
        sign: with which the offset is added to it.
    """

    layer: str
    weight: str
    sign: float = 1.0


@dataclasses.dataclass(frozen=True)
class Reading:
    """A layer as a linear map `Y = X W` of rows of its input.

    Attributes:
        name: its node.
        item: what the sampler needs.
        source: the tensor it reads.
        offset: what can take up an offset of its output, None without.
        weights: float [O], what one unit of error in each output counts: the norm's scale.
        total, shortcut: with `item.branch`, the residual sum and its other operand.
    """

    name: str
    item: Sampled
    source: Ref
    offset: Offset | None
    weights: np.ndarray
    total: Ref | None = None
    shortcut: Ref | None = None

    @property
    def centred(self) -> bool:
        """Whether an offset can be fitted together with the kernel."""
        return self.offset is not None


def find_readings(graph: Graph, names: list[str], *, compensate: bool) -> Iterator[Reading]:
    """Describe those of the nodes that are plain convolutions or Dense layers, called once.

    Args:
        graph: the network.
        names: the nodes.
        compensate: give layers at the end of a residual branch the sum as their target.

    Yields:
        A `Reading` for each node that can be sampled.
    """
    for key, name in enumerate(names):
        node = graph.node(name)
        window = _window(graph, node)
        if window is None or len(graph.calls(node.layer)) > 1:
            continue
        kernel = np.asarray(graph.params[node.layer]["kernel"], np.float32)
        item = Sampled(key, window, kernel.reshape(-1, kernel.shape[-1]))
        norm = _norm_behind(graph, node)
        scale, shift = _affine(graph, node, norm)
        reading = Reading(
            name=name,
            item=item,
            source=node.inputs[0],
            offset=_offset(graph, node, norm),
            weights=np.abs(scale),
        )
        total = _sum_behind(graph, node if norm is None else norm) if compensate else None
        if total is None:
            yield reading
            continue
        usable = np.abs(scale) > _SMALLEST_SCALE
        inverse = np.where(usable, 1.0 / np.where(usable, scale, 1.0), 0.0)
        branch = BranchTarget(inverse.astype(np.float32), (-shift * inverse).astype(np.float32))
        end = name if norm is None else norm.name
        yield dataclasses.replace(
            reading,
            item=dataclasses.replace(item, branch=branch),
            total=Ref(total.name),
            shortcut=next(ref for ref in total.inputs if ref.node != end),
        )


def _window(graph: Graph, node: Node) -> Window | None:
    row = ops.find(graph, node)
    return None if row is None or row.window is None else row.window(node.attrs)


def _only_consumer(graph: Graph, node: Node) -> Node | None:
    consumers = graph.consumers(node.name)
    is_output = any(ref.node == node.name for ref in graph.outputs)
    return consumers[0] if len(consumers) == 1 and not is_output else None


def _norm_behind(graph: Graph, node: Node) -> Node | None:
    """Find the batch norm that alone reads a layer's linear output."""
    norm = _only_consumer(graph, node)
    if norm is None or not normalizes(graph, node, norm) or len(graph.calls(norm.layer)) > 1:
        return None
    return norm


def _offset(graph: Graph, node: Node, norm: Node | None) -> Offset | None:
    row = None if norm is None else ops.find(graph, norm)
    if norm is not None and row is not None and row.absorbs is not None:
        return Offset(norm.layer, *row.absorbs)
    return Offset(node.layer, "bias") if node.attrs.get("use_bias") else None


def _sum_behind(graph: Graph, end: Node) -> Node | None:
    """Find the two-operand Add of equal shapes that alone reads the end of a residual branch."""
    total = _only_consumer(graph, end)
    row = None if total is None else ops.find(graph, total)
    if total is None or row is None or not row.adds or not is_linear(end):
        return None
    shapes = {graph.shape(ref) for ref in total.inputs}
    if len(total.inputs) != 2 or len(shapes) != 1 or len(end.output_shapes[0]) != 4:
        return None
    return total if total.inputs[0].node != total.inputs[1].node else None


def _affine(graph: Graph, node: Node, norm: Node | None) -> tuple[np.ndarray, np.ndarray]:
    """Give (scale, shift), float64 [O], of what follows a layer's product `X W`."""
    params = graph.params[node.layer]
    num_outputs = params["kernel"].shape[-1]
    bias = params.get("bias", np.zeros(num_outputs))
    row = None if norm is None else ops.find(graph, norm)
    if norm is None or row is None or row.affine is None:
        return np.ones(num_outputs), bias
    scale, shift = row.affine(graph.params[norm.layer], norm.attrs)
    return scale, shift + scale * bias
