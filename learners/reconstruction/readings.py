"""Which layers of a network can be sampled and refitted, and how each stands in it."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from learners.reconstruction.sampling import BranchTarget, ReadingLayer, Sampled
from utils.graph import ChannelGroup, Graph, Node, Ref, ops
from utils.graph.ops_per_step import inside_steps
from utils.graph.row import IN, SELF

_SMALLEST_SCALE = 1e-3  # batch norms that scale an output by less cannot make up for an error


@dataclasses.dataclass(frozen=True)
class Reading:
    """A layer that reads channels.

    Attributes:
        name: its node.
        kernels: the weights that read them: one; of a Bidirectional both directions', whose columns
            stand side by side in `item.kernel`.
        item: what the sampler needs.
        source: the tensor it reads.
        bias: whether it has a bias, which can take up an offset.
        norm: the batch norm that alone reads its output and can do so too, None without.
        weights: float [O], what one unit of error in each output counts: the norm's scale.
        total, shortcut: with `item.branch`, the residual sum and its other operand.
    """

    name: str
    kernels: tuple[str, ...]
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

    def refitted(
        self,
        layer: str,
        kernel: np.ndarray,
        offset: np.ndarray,
        value: Callable[[str, str], np.ndarray],
    ) -> dict[tuple[str, str], np.ndarray]:
        """Say which weights a refit changes.

        Args:
            layer: of the node.
            kernel: float [P, O], the kernel, or both side by side.
            offset: float [O], to be added to what it gives.
            value: (layer, weight) -> the weight's value before.

        Returns:
            (layer, weight) -> its new value.
        """
        found: dict[tuple[str, str], np.ndarray] = {}
        first = 0
        for name in self.kernels:
            shape = value(layer, name).shape
            columns = slice(first, first + shape[-1])
            found[layer, name] = kernel[:, columns].reshape(shape)
            if self.bias and self.norm is None:
                bias = np.array(value(layer, _bias_of(name)))
                # A GRU has a second row of biases, for what comes out of its recurrent kernel.
                bias.reshape(-1, shape[-1])[0] += offset[columns]
                found[layer, _bias_of(name)] = bias
            first += shape[-1]
        if self.norm is not None:
            found[self.norm, "moving_mean"] = value(self.norm, "moving_mean") - offset
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
        plain = inside_steps(node)
        layer = ReadingLayer.of(plain)
        kernels = tuple(weight for weight, _ in weight_axes(graph, node, IN))
        if layer is None or not kernels or len(graph.calls(node.layer)) > 1:
            continue
        if plain is not node and layer != ReadingLayer():  # a convolution at every time step
            continue
        params = graph.params[node.layer]
        matrices = [params[name].reshape(-1, params[name].shape[-1]) for name in kernels]
        item = Sampled(key, layer, np.concatenate(matrices, axis=1).astype(np.float32))
        is_linear = _is_linear(plain) and not weight_axes(graph, node, SELF)
        norm = _norm_behind(graph, node) if is_linear else None
        scale, mean, beta = _affine(graph, node, kernels, norm)
        reading = Reading(
            name=name,
            kernels=kernels,
            item=item,
            source=node.inputs[0],
            bias=all(_bias_of(kernel) in params for kernel in kernels),
            norm=None if norm is None else norm.layer,
            weights=np.abs(scale),
        )
        end = node if norm is None else norm
        total = _sum_behind(graph, end) if compensate and is_linear else None
        if total is None:
            yield reading
            continue
        usable = np.abs(scale) > _SMALLEST_SCALE
        inverse = np.where(usable, 1.0 / np.where(usable, scale, 1.0), 0.0)
        branch = BranchTarget(
            inverse.astype(np.float32), (mean - beta * inverse).astype(np.float32)
        )
        yield dataclasses.replace(
            reading,
            item=dataclasses.replace(item, branch=branch),
            total=Ref(total.name),
            shortcut=next(ref for ref in total.inputs if ref.node != end.name),
        )


def weight_axes(graph: Graph, node: Node, role: str) -> list[tuple[str, int]]:
    """List a node's weights that have an axis of a role, and that axis, counted from the back.

    Args:
        graph: the network.
        node: the node.
        role: `IN`, what reads a node's input channels (two of a Bidirectional); `SELF`, what reads
            a recurrent layer's own units.
    """
    op = ops.find(graph, node)
    params = graph.params.get(node.layer, {})
    return [
        (weight, axis)
        for weight, roles in ({} if op is None else op.weights).items()
        for axis, found in roles.items()
        if found == role and weight in params
    ]


def kernel_input_axes(graph: Graph, node: Node) -> list[tuple[str, int]]:
    """Name the weights that read a node's input channels, and their axes, counted from the back."""
    found = weight_axes(graph, node, IN)
    if not found:
        raise ValueError(f"{node.name!r} ({node.op}) has no weight that reads channels.")
    return found


def read_axes(graph: Graph, group: ChannelGroup) -> Iterator[tuple[str, str, int, np.ndarray]]:
    """Find all rows by which a group's channels are read, in its readers and in its loops.

    Args:
        graph: the network.
        group: the group.

    Yields:
        Layer, weight, axis (counted from the back), and the group's channel of each index there, -1
        for what is not the group's.
    """
    for reader in group.readers:
        node = graph.node(reader.node)
        for weight, axis in kernel_input_axes(graph, node):
            yield node.layer, weight, axis, reader.channels
    for loop in group.loops:
        node = graph.node(loop.node)
        for weight, axis in weight_axes(graph, node, SELF):
            yield node.layer, weight, axis, loop.channels


def has_kernel(graph: Graph, node: Node) -> bool:
    """Whether a node's layer has a kernel, of its own or (Bidirectional) inside."""
    return any(name.rpartition("/")[2] == "kernel" for name in graph.params.get(node.layer, ()))


def _bias_of(kernel: str) -> str:
    return kernel.removesuffix("kernel") + "bias"


def _is_linear(node: Node) -> bool:
    return node.attrs.get("activation", "linear") in (None, "linear")


def _only_consumer(graph: Graph, node: Node) -> Node | None:
    consumers = graph.consumers(node.name)
    is_output = any(ref.node == node.name for ref in graph.outputs)
    return consumers[0] if len(consumers) == 1 and not is_output else None


def _norm_behind(graph: Graph, node: Node) -> Node | None:
    """Find the batch norm that alone reads a layer's linear output."""
    norm = _only_consumer(graph, node)
    if norm is None or not norm.op.endswith(".BatchNormalization"):
        return None
    on_channels = norm.attrs.get("axis") in (-1, len(node.output_shapes[0]) - 1)
    return norm if on_channels and len(graph.calls(norm.layer)) == 1 else None


def _sum_behind(graph: Graph, end: Node) -> Node | None:
    """Find the two-operand Add of equal shapes that alone reads the end of a residual branch."""
    total = _only_consumer(graph, end)
    if total is None or not total.op.endswith(".Add"):
        return None
    shapes = {graph.shape(ref) for ref in total.inputs}
    if len(total.inputs) != 2 or len(shapes) != 1 or len(end.output_shapes[0]) != 4:
        return None
    return total if total.inputs[0].node != total.inputs[1].node else None


def _affine(
    graph: Graph, node: Node, kernels: tuple[str, ...], norm: Node | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give (scale, mean, beta) of what follows a layer's linear map, [O] each."""
    params = graph.params[node.layer]
    num_outputs = sum(params[name].shape[-1] for name in kernels)
    bias = params.get("bias", np.zeros(num_outputs))
    if norm is None:
        return np.ones(num_outputs), np.zeros(num_outputs), bias
    arrays = graph.params[norm.layer]
    gamma = arrays.get("gamma", np.ones(num_outputs))
    beta = arrays.get("beta", np.zeros(num_outputs))
    scale = gamma / np.sqrt(arrays["moving_variance"] + norm.attrs["epsilon"])
    return scale, arrays["moving_mean"] - bias, beta
