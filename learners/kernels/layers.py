"""Which kernels of a network a method changes in place, and each as a matrix.

A kernel is a weight of two or more axes that is multiplied with activations; biases, batch norms
and embeddings are none. Its matrix has a row for each input of an output (for a convolution the
positions of its HWIO kernel, channels within) and a column for each output, so that everything
that goes by outputs goes by columns, whatever the layer.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from learners.name_parts import require_known
from utils.graph import Graph, Node, ops
from utils.graph.row import IN, OUT, Op

Arrays = Mapping[str, Mapping[str, np.ndarray]]
"""Weights by layer and name, as `Graph.params`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelLayer:
    """One layer's kernel; of a Bidirectional those of both directions, side by side.

    Attributes:
        name: in settings, reports and patterns: the layer's, with `/weight` behind it where the
            layer has several kernels.
        node: the layer's first call.
        layer: the layer.
        weights: its weights that are meant.
        shapes: of each.
        out_axes: the axes, counted from the back, that make the columns of the matrix.
        is_depthwise: each output reads a single channel.
    """

    name: str
    node: str
    layer: str
    weights: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    out_axes: tuple[int, ...]
    is_depthwise: bool = False

    @property
    def num_rows(self) -> int:
        """P, the inputs of an output."""
        return self.size // self.num_outputs

    @property
    def num_outputs(self) -> int:
        """O, columns of the matrix."""
        return sum(int(np.prod([shape[axis] for axis in self.out_axes])) for shape in self.shapes)

    @property
    def num_channels(self) -> int:
        """Input channels: P is a multiple of them, they are neighbours in the rows."""
        if self.is_depthwise:
            return 1
        rank = len(self.shapes[0])
        left = [axis for axis in range(-rank, 0) if axis not in self.out_axes]
        return self.shapes[0][left[-1]]

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    @property
    def is_convolution(self) -> bool:
        """Whether the kernel slides over positions."""
        return any(len(shape) > 2 for shape in self.shapes)

    def matrix(self, arrays: Arrays) -> np.ndarray:
        """Give the kernel as a matrix, [P, O]: as a rule a view of the weight.

        Args:
            arrays: the network's weights.
        """
        parts = [self._flat(np.asarray(arrays[self.layer][weight])) for weight in self.weights]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def tensors(self, matrix: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        """Give a matrix [P, O] back as weights.

        Returns:
            (layer, weight) -> array of the weight's shape and the matrix' dtype.
        """
        found, first = {}, 0
        for weight, shape in zip(self.weights, self.shapes, strict=True):
            outputs = [shape[axis] for axis in self.out_axes]
            last = first + int(np.prod(outputs))
            rank = len(shape)
            rest = [shape[a] for a in range(-rank, 0) if a not in self.out_axes]
            array = matrix[:, first:last].reshape(*rest, *outputs)
            ends = range(-len(outputs), 0)
            found[self.layer, weight] = np.ascontiguousarray(
                np.moveaxis(array, ends, self.out_axes)
            )
            first = last
        return found

    def _flat(self, array: np.ndarray) -> np.ndarray:
        ends = range(-len(self.out_axes), 0)
        moved = np.moveaxis(array, self.out_axes, ends)
        num_outputs = int(np.prod([array.shape[axis] for axis in self.out_axes]))
        return moved.reshape(-1, num_outputs)


def kernel_layers(graph: Graph) -> tuple[KernelLayer, ...]:
    """List a network's kernels in the order of their first calls, each once.

    Args:
        graph: the network.

    Returns:
        The kernels of all layers that the op table knows; those of others are left as they are.
    """
    found: list[KernelLayer] = []
    seen: set[str] = set()
    for node in graph.nodes:
        row = ops.find(graph, node)
        if row is None or node.layer in seen:
            continue
        seen.add(node.layer)
        params = graph.params.get(node.layer, {})
        weights = [name for name in row.uses if name in params and params[name].ndim >= 2]
        together = _read_together(graph, node, weights)
        units = [together] if together else []
        units += [(name,) for name in weights if name not in together]
        units.sort(key=lambda unit: weights.index(unit[0]))
        for unit in units:
            name = node.layer if len(units) == 1 else f"{node.layer}/{unit[0]}"
            found.append(_kernel_layer(graph, node, row, unit, name))
    return tuple(found)


def layers_by_node(layers: Iterable[KernelLayer]) -> dict[str, list[KernelLayer]]:
    """Group kernels by the node that they belong to, in their order."""
    groups: dict[str, list[KernelLayer]] = {}
    for layer in layers:
        groups.setdefault(layer.node, []).append(layer)
    return groups


def _read_together(graph: Graph, node: Node, weights: Sequence[str]) -> tuple[str, ...]:
    """Name the kernels of a layer that read the same rows of its input, as a walk solves them."""
    found = tuple(weight for weight, _ in ops.weight_axes(graph, node, IN) if weight in weights)
    shapes = {graph.params[node.layer][weight].shape for weight in found}
    return found if len(found) > 1 and len(shapes) == 1 else ()


def _kernel_layer(
    graph: Graph, node: Node, row: Op, unit: tuple[str, ...], name: str
) -> KernelLayer:
    arrays = graph.params[node.layer]
    roles = row.weights.get(unit[0], {})
    out_axes = tuple(sorted(axis for axis, role in roles.items() if role == OUT))
    # A depthwise kernel makes of each channel `depth_multiplier` outputs: its last two axes.
    is_depthwise = not out_axes and "depthwise" in f"{node.op} {unit[0]}".lower()
    if not out_axes:
        out_axes = (-2, -1) if is_depthwise else (-1,)
    return KernelLayer(
        name=name,
        node=node.name,
        layer=node.layer,
        weights=unit,
        shapes=tuple(tuple(arrays[weight].shape) for weight in unit),
        out_axes=out_axes,
        is_depthwise=is_depthwise,
    )


def without_skipped(
    layers: Sequence[KernelLayer],
    *,
    first: str = "",
    last: str = "",
    parts: Sequence[str] = (),
    source: str = "",
) -> tuple[list[KernelLayer], dict[str, str]]:
    """Leave out the first kernel, the last, and those with certain parts in their names.

    Args:
        layers: a network's kernels, in order.
        first: why the first is left out, for reports (the flag); "" leaves it in.
        last: likewise the last.
        parts: of names.
        source: the flag that gives the parts.

    Returns:
        The kernels that are left, and name -> reason of the others.

    Raises:
        InputError: for a part that is in no name.
    """
    names = [layer.name for layer in layers]
    require_known(parts, names, source=source, which="with a kernel")
    reasons = {name: source for name in names if any(part in name for part in parts)}
    for layer, reason in ((layers[:1], first), (layers[-1:], last)):
        if layer and reason:
            reasons[layer[0].name] = reason
    return [layer for layer in layers if layer.name not in reasons], reasons
