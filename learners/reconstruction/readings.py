"""Which layers of a network can be sampled and refitted, and how each stands in it."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from learners.reconstruction.sampling import BranchTarget, ReadingLayer, Sampled
from utils.graph import Graph, Node, Ref, ops
from utils.graph.row import IN

_SMALLEST_SCALE = 1e-3  # batch norms that scale an output by less cannot make up for an error


@dataclasses.dataclass(frozen=True)
class Reading:
    """A layer that reads channels.

    Attributes:
        name: its node.
        item: what the sampler needs.
        source: the tensor it reads.
        bias: whether it has a bias, which can take up an offset.
        norm: the batch norm that alone reads its output and can do so too, None without.
        weights: float [O], what one unit of error in each output counts: the norm's scale.
        total, shortcut: with `item.branch`, the residual sum and its other operand.
    """

    name: str
    item: Sampled
    source: Ref
    bias: bool
    norm: str | None
    weights: np.ndarray
    total: Ref | None = None
    shortcut: Ref | None = None

    @property
    def centred(self) -> bool:
        """Whether an offset can be fitted together with the kernel."""
        return self.bias or self.norm is not None


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
        layer = ReadingLayer.of(node)
        if layer is None or len(graph.calls(node.layer)) > 1:
            continue
        kernel = np.asarray(graph.params[node.layer]["kernel"], np.float32)
        item = Sampled(key, layer, kernel.reshape(-1, kernel.shape[-1]))
        norm = _norm_behind(graph, node)
        scale, mean, beta = _affine(graph, node, norm)
        reading = Reading(
            name=name,
            item=item,
            source=node.inputs[0],
            bias=bool(node.attrs.get("use_bias")),
            norm=None if norm is None else norm.layer,
            weights=np.abs(scale),
        )
        total = _sum_behind(graph, node if norm is None else norm) if compensate else None
        if total is None:
            yield reading
            continue
        usable = np.abs(scale) > _SMALLEST_SCALE
        inverse = np.where(usable, 1.0 / np.where(usable, scale, 1.0), 0.0)
        branch = BranchTarget(
            inverse.astype(np.float32), (mean - beta * inverse).astype(np.float32)
        )
        end = name if norm is None else norm.name
        yield dataclasses.replace(
            reading,
            item=dataclasses.replace(item, branch=branch),
            total=Ref(total.name),
            shortcut=next(ref for ref in total.inputs if ref.node != end),
        )


def kernel_input_axis(graph: Graph, node: Node) -> tuple[str, int]:
    """Name the weight that reads a node's input channels, and its axis (counted from the back)."""
    op = ops.find(graph, node)
    for weight, roles in ({} if op is None else op.weights).items():
        for axis, role in roles.items():
            if role == IN:
                return weight, axis
    raise ValueError(f"{node.name!r} ({node.op}) has no weight that reads channels.")


def _is_linear(node: Node) -> bool:
    return node.attrs.get("activation", "linear") in (None, "linear")


def _only_consumer(graph: Graph, node: Node) -> Node | None:
    consumers = graph.consumers(node.name)
    is_output = any(ref.node == node.name for ref in graph.outputs)
    return consumers[0] if len(consumers) == 1 and not is_output else None


def _norm_behind(graph: Graph, node: Node) -> Node | None:
    """Find the batch norm that alone reads a layer's linear output."""
    norm = _only_consumer(graph, node)
    if norm is None or not _is_linear(node) or not norm.op.endswith(".BatchNormalization"):
        return None
    on_channels = norm.attrs.get("axis") in (-1, len(node.output_shapes[0]) - 1)
    return norm if on_channels and len(graph.calls(norm.layer)) == 1 else None


def _sum_behind(graph: Graph, end: Node) -> Node | None:
    """Find the two-operand Add of equal shapes that alone reads the end of a residual branch."""
    total = _only_consumer(graph, end)
    if total is None or not _is_linear(end) or not total.op.endswith(".Add"):
        return None
    shapes = {graph.shape(ref) for ref in total.inputs}
    if len(total.inputs) != 2 or len(shapes) != 1 or len(end.output_shapes[0]) != 4:
        return None
    return total if total.inputs[0].node != total.inputs[1].node else None


def _affine(
    graph: Graph, node: Node, norm: Node | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give (scale, mean, beta) of what follows a layer's linear map, [O] each."""
    params = graph.params[node.layer]
    num_outputs = params["kernel"].shape[-1]
    bias = params.get("bias", np.zeros(num_outputs))
    if norm is None:
        return np.ones(num_outputs), np.zeros(num_outputs), bias
    arrays = graph.params[norm.layer]
    gamma = arrays.get("gamma", np.ones(num_outputs))
    beta = arrays.get("beta", np.zeros(num_outputs))
    scale = gamma / np.sqrt(arrays["moving_variance"] + norm.attrs["epsilon"])
    return scale, arrays["moving_mean"] - bias, beta
