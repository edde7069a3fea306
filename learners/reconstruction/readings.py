"""Which layers of a network can be sampled and refitted, and how each stands in it."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from learners.reconstruction.sampling import BranchTarget, Sampled
from utils.graph import Graph, Node, Ref, ops
from utils.graph.fold import normalizes
from utils.graph.ops_weighted import is_linear
from utils.graph.row import IN, Window

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
class Clip:
    """Where a ReLU cuts off what a layer gives: errors beyond are not seen.

    Attributes:
        level: float32 [O], the output at which the ReLU's input is zero; with a `branch` that at
            which it is zero without the shortcut.
        sign: float32 [O], 1 where what is above passes, -1 where what is below does, 0 where all is
            seen.
    """

    level: np.ndarray
    sign: np.ndarray


@dataclasses.dataclass(frozen=True)
class Reading:
    """A layer as a linear map `Y = X W` of rows of its input.

    Attributes:
        name: its node.
        kernels: the weights that read the rows: one; of a Bidirectional both directions', whose
            columns stand side by side in `item.kernel`.
        item: what the sampler needs.
        source: the tensor it reads.
        layer: its layer.
        offsets: what can take up an offset of its output: nothing, the batch norm behind it, or
            the bias beside each kernel.
        weights: float [O], what one unit of error in each output counts: the norm's scale.
        total, shortcut: with `item.branch`, the residual sum and its other operand.
        clip: set where a ReLU alone reads the output, or the sum.
    """

    name: str
    kernels: tuple[str, ...]
    item: Sampled
    source: Ref
    layer: str
    offsets: tuple[Offset, ...]
    weights: np.ndarray
    total: Ref | None = None
    shortcut: Ref | None = None
    clip: Clip | None = None

    @property
    def centred(self) -> bool:
        """Whether an offset can be fitted together with the kernel."""
        return bool(self.offsets)

    def refitted(
        self, kernel: np.ndarray, offset: np.ndarray, value: Callable[[str, str], np.ndarray]
    ) -> dict[tuple[str, str], np.ndarray]:
        """Say which weights a new kernel changes.

        Args:
            kernel: float [P, O], the kernel, or both side by side.
            offset: float [O], to be added to what it gives.
            value: (layer, weight) -> the weight's value before.

        Returns:
            (layer, weight) -> its new value.
        """
        found: dict[tuple[str, str], np.ndarray] = {}
        first = 0
        for name in self.kernels:
            shape = value(self.layer, name).shape
            found[self.layer, name] = kernel[:, first : first + shape[-1]].reshape(shape)
            first += shape[-1]
        first = 0
        for taker in self.offsets:
            changed = np.array(value(taker.layer, taker.weight))
            last = first + changed.shape[-1]
            # A GRU has a second row of biases, for what comes out of its recurrent kernel.
            changed.reshape(-1, last - first)[0] += taker.sign * offset[first:last]
            found[taker.layer, taker.weight] = changed
            first = last
        return found


def find_readings(graph: Graph, names: list[str], *, compensate: bool) -> Iterator[Reading]:
    """Describe those of the nodes that are plain convolutions, Dense or recurrent, called once.

    Of a recurrent layer it is the kernel that reads its input: what that adds to the gates is
    linear in each time step's features, as a Dense layer's output is. TimeDistributed stands for
    the layer inside of it, where that is one of these.

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
        kernels = tuple(weight for weight, _ in ops.weight_axes(graph, node, IN))
        if window is None or not kernels or len(graph.calls(node.layer)) > 1:
            continue
        params = graph.params[node.layer]
        matrices = [params[weight].reshape(-1, params[weight].shape[-1]) for weight in kernels]
        item = Sampled(key, window, np.concatenate(matrices, axis=1).astype(np.float32))
        norm = _norm_behind(graph, node)
        scale = _scale(graph, norm, item.kernel.shape[1])
        reading = Reading(
            name=name,
            kernels=kernels,
            item=item,
            source=node.inputs[0],
            layer=node.layer,
            offsets=_offsets(graph, node, kernels, norm),
            weights=np.abs(scale),
        )
        end_node = node if norm is None else norm
        total = _sum_behind(graph, end_node) if compensate else None
        if _is_clipped(graph, end_node if total is None else total):
            reading = dataclasses.replace(reading, clip=_clip(graph, node, norm, scale))
        if total is None:
            yield reading
            continue
        usable = np.abs(scale) > _SMALLEST_SCALE
        inverse = np.where(usable, 1.0 / np.where(usable, scale, 1.0), 0.0)
        shift = -_shift(graph, node, norm, scale) * inverse
        branch = BranchTarget(inverse.astype(np.float32), shift.astype(np.float32))
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


def _offsets(
    graph: Graph, node: Node, kernels: tuple[str, ...], norm: Node | None
) -> tuple[Offset, ...]:
    row = None if norm is None else ops.find(graph, norm)
    if norm is not None and row is not None and row.absorbs is not None:
        return (Offset(norm.layer, *row.absorbs),)
    biases = [kernel.removesuffix("kernel") + "bias" for kernel in kernels]
    if not all(bias in graph.params[node.layer] for bias in biases):
        return ()
    return tuple(Offset(node.layer, bias) for bias in biases)


def _is_clipped(graph: Graph, end: Node) -> bool:
    """Whether what a node gives goes through a ReLU, its own or one that alone reads it."""
    if not is_linear(end):
        return end.attrs.get("activation") == "relu"
    reader = _only_consumer(graph, end)
    row = None if reader is None else ops.find(graph, reader)
    if reader is None or row is None or row.activation is None:
        return False
    return row.activation(reader.attrs) == "relu"


def _clip(graph: Graph, node: Node, norm: Node | None, scale: np.ndarray) -> Clip:
    usable = np.abs(scale) > _SMALLEST_SCALE
    level = -_shift(graph, node, norm, scale) / np.where(usable, scale, 1.0)
    sign = np.where(usable, np.sign(scale), 0.0)
    return Clip(level.astype(np.float32), sign.astype(np.float32))


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


def _scale(graph: Graph, norm: Node | None, num_outputs: int) -> np.ndarray:
    """Give the factor, float64 [O], that the norm behind a layer puts on its outputs."""
    row = None if norm is None else ops.find(graph, norm)
    if norm is None or row is None or row.affine is None:
        return np.ones(num_outputs)
    return row.affine(graph.params[norm.layer], norm.attrs)[0]


def _shift(graph: Graph, node: Node, norm: Node | None, scale: np.ndarray) -> np.ndarray:
    """Give what bias and norm add to the scaled product of a layer, float64 [O]."""
    bias = graph.params[node.layer].get("bias", np.zeros(scale.size))
    row = None if norm is None else ops.find(graph, norm)
    if norm is None or row is None or row.affine is None:
        return bias
    return row.affine(graph.params[norm.layer], norm.attrs)[1] + scale * bias
