"""Values made into Keras tensors: layers called and named, axes put in order, shapes changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from utils.frontends import layout as axes
from utils.frontends.layout import Atom, Axis, Layout
from utils.frontends.source import NotConvertible, SourceNode, check_size
from utils.frontends.values import Value
from utils.graph.ir import unique_name
from utils.graph.traceable import traceable_name

OPEN_SIZES = "Give the input's size with --input_shape."


class Making:
    """What the functions of operators call to make tensors; names are unique in one network."""

    def __init__(self, batch: int | None) -> None:
        """Args: batch: the batch size that the file fixes; None if it is open."""
        self._batch = batch
        self._names: set[str] = set()

    def name(self, node: SourceNode, suffix: str = "") -> str:
        """A name for a layer: the node's, made valid and unique."""
        wanted = traceable_name(node.name + (f"_{suffix}" if suffix else ""))
        name = unique_name(wanted, self._names)
        self._names.add(name)
        return name

    def layer(
        self,
        node: SourceNode,
        make: Callable[..., Any],
        *tensors: Any,
        weights: Sequence[np.ndarray] | None = None,
        suffix: str = "",
        **settings: Any,
    ) -> Any:
        """Call a layer made for a node.

        Args:
            node: names the layer.
            make: the layer's class.
            *tensors: what it is called with: one, or several for a list.
            weights: its weights in Keras' order.
            suffix: is added to the node's name where it needs several layers.
            **settings: of the class.

        Returns:
            What the layer returns.
        """
        layer = make(name=self.name(node, suffix), **settings)
        result = layer(tensors[0] if len(tensors) == 1 else list(tensors))
        if weights is not None:
            layer.set_weights(list(weights))
        return result

    def op(
        self,
        node: SourceNode,
        function: Callable[..., Any],
        *args: Any,
        suffix: str = "",
        **kwargs: Any,
    ) -> Any:
        """Call a keras.ops function and name the operation after the node."""
        result = function(*args, **kwargs)
        first = result[0] if isinstance(result, (list, tuple)) else result
        first._keras_history.operation.name = self.name(node, suffix)
        return result

    def result(
        self,
        tensor: Any,
        order: Sequence[int],
        *,
        sizes: Mapping[int, int] | None = None,
        like: Layout | None = None,
        nonnegative: bool = False,
    ) -> Value:
        """Wrap a tensor whose axes are whole source axes.

        Args:
            tensor: the Keras tensor.
            order: `order[i]` is the source axis on axis i of it.
            sizes: stand-ins for source axes whose size is open.
            like: a layout whose open axes, equally placed in the source, have the same size.
            nonnegative: see `Value`.

        Returns:
            The value.

        Raises:
            NotConvertible: if the size of an axis other than the batch is open and not given.
        """
        source: list[Axis] = [()] * len(order)
        for place, axis in enumerate(order):
            size = tensor.shape[place]
            if size is None:
                source[axis] = self._open_axis(axis, sizes, like)
            elif size != 1:
                source[axis] = (Atom(size),)
        layout = Layout(tuple(source), tuple(source[axis] for axis in order))
        return Value(tensor=tensor, layout=layout, nonnegative=nonnegative)

    def _open_axis(self, axis: int, sizes: Mapping[int, int] | None, like: Layout | None) -> Axis:
        if sizes and axis in sizes:
            return (Atom(sizes[axis], free=True),)
        if like is not None and axis < len(like.source) and axes.is_free(like.source[axis]):
            return like.source[axis]
        if axis == 0:
            return (Atom(self.batch_size, free=True),)
        raise NotConvertible(f"makes an axis {axis} of a size that is open. {OPEN_SIZES}")

    @property
    def batch_size(self) -> int:
        """What the batch counts as in the source's shape arithmetic."""
        return axes.BATCH_SIZE if self._batch is None else self._batch

    def arranged(
        self, node: SourceNode, value: Value, groups: Sequence[Axis], suffix: str = ""
    ) -> Any:
        """The value's tensor with its atoms in a wanted order, moved only if need be.

        Args:
            node: names the layers.
            value: not a constant.
            groups: the atoms of each axis wanted.
            suffix: for the names.

        Returns:
            The tensor.

        Raises:
            NotConvertible: if two axes beside the batch would be of a size that is open.
        """
        groups, built, tensor = tuple(groups), value.axes.built, value.tensor
        if groups == built:
            return tensor
        pieces = tuple(axes.runs(axes.flat(built), axes.flat(groups)))
        if pieces and groups[0] == built[0] == pieces[0][:1] and len(pieces[0]) > 1:
            pieces = (pieces[0][:1], pieces[0][1:], *pieces[1:])  # the batch stays on its own axis
        present = tuple(sorted(pieces, key=lambda piece: axes.flat(built).index(piece[0])))
        if len(pieces) > 1 and pieces != present:
            if groups[:-1] == built[:-1] and set(groups[-1]) == set(built[-1]):
                return self._picked(node, tensor, built[-1], groups[-1], suffix)
            if len(built) == len(groups) and set(built) == set(groups):
                return self._permuted(node, tensor, built, groups, suffix)
            tensor = self._regrouped(node, tensor, built, present, suffix)
            tensor = self._permuted(node, tensor, present, pieces, suffix)
            built = pieces
        return self._regrouped(node, tensor, built, groups, suffix)

    def _picked(
        self, node: SourceNode, tensor: Any, present: Axis, wanted: Axis, suffix: str
    ) -> Any:
        """Reorder the last axis alone, as a channel shuffle does."""
        check_size((axes.axis_size(present),))
        places = np.arange(axes.axis_size(present), dtype=np.int32)
        places = places.reshape([atom.size for atom in present])
        places = places.transpose([present.index(atom) for atom in wanted]).ravel()
        suffix = f"{suffix}_shuffle".lstrip("_")
        return self.op(node, keras.ops.take, tensor, places, axis=-1, suffix=suffix)

    def _permuted(
        self,
        node: SourceNode,
        tensor: Any,
        built: Sequence[Axis],
        groups: Sequence[Axis],
        suffix: str,
    ) -> Any:
        units = [place for place, axis in enumerate(built) if not axis]
        order = [built.index(axis) if axis else units.pop(0) for axis in groups]
        suffix = f"{suffix}_transpose".lstrip("_")
        if order[0] == 0:
            return self.layer(node, keras.layers.Permute, tensor, dims=order[1:], suffix=suffix)
        return self.op(node, keras.ops.transpose, tensor, order, suffix=suffix)

    def _regrouped(
        self,
        node: SourceNode,
        tensor: Any,
        built: Sequence[Axis],
        groups: Sequence[Axis],
        suffix: str,
    ) -> Any:
        if tuple(built) == tuple(groups):
            return tensor
        target = [-1 if axes.is_free(axis) else axes.axis_size(axis) for axis in groups]
        keeps_batch = bool(groups and built) and groups[0] == built[0] and len(groups[0]) == 1
        suffix = f"{suffix}_reshape".lstrip("_")
        if keeps_batch and groups[0][0].free and target[1:].count(-1) <= 1:
            if len(groups) == 2 and len(built) > 2 and not axes.is_free(groups[1]):
                return self.layer(node, keras.layers.Flatten, tensor, suffix=suffix)
            return self.layer(
                node, keras.layers.Reshape, tensor, target_shape=tuple(target[1:]), suffix=suffix
            )
        if target.count(-1) > 1:
            raise NotConvertible(f"rearranges axes of sizes that are open. {OPEN_SIZES}")
        return self.op(node, keras.ops.reshape, tensor, tuple(target), suffix=suffix)

    def in_order(
        self, node: SourceNode, value: Value, order: Sequence[int] | None = None, suffix: str = ""
    ) -> tuple[Any, tuple[int, ...]]:
        """The value's tensor with one axis for each source axis.

        Args:
            node: names the layers.
            value: not a constant.
            order: wanted source axis of each axis; None for the one that moves least.
            suffix: for the names.

        Returns:
            The tensor and the order.
        """
        order = axes.natural_order(value.axes) if order is None else tuple(order)
        groups = [value.axes.source[axis] for axis in order]
        return self.arranged(node, value, groups, suffix), order

    def channels_last(
        self, node: SourceNode, value: Value, axis: int = 1, suffix: str = ""
    ) -> tuple[Any, tuple[int, ...]]:
        """The value's tensor with one source axis last and the others in the source's order."""
        rank = value.rank
        order = [place for place in range(rank) if place != axis % rank] + [axis % rank]
        return self.in_order(node, value, order, suffix)

    def with_last(
        self, node: SourceNode, value: Value, axis: int, suffix: str = ""
    ) -> tuple[Any, Layout, Axis]:
        """The value's tensor with the atoms of one source axis together on its last axis.

        The other axes, and the order of the atoms within the last one, stay as they are.

        Returns:
            The tensor, its layout, and the atoms of the last axis in their order.
        """
        wanted, built = set(value.axes.source[axis]), value.axes.built
        last = tuple(atom for atom in axes.flat(built) if atom in wanted)
        if last and built[-1] == last and 2 <= len(built) <= max(value.rank, 2):
            return value.tensor, value.axes, last
        rest = [tuple(atom for atom in group if atom not in wanted) for group in built]
        groups = (*([group for group in rest if group] or [()]), last)
        return self.arranged(node, value, groups, suffix), Layout(value.axes.source, groups), last

    def whole(self, node: SourceNode, value: Value) -> Value:
        """The value with its Keras tensor in the source's order of axes."""
        tensor, order = self.in_order(node, value, range(value.rank))
        return value.replace(
            tensor=tensor,
            layout=Layout(value.axes.source, tuple(value.axes.source[axis] for axis in order)),
        )

    def reshape(self, node: SourceNode, value: Value, target: Sequence[int]) -> Value:
        """Reshape as the source does; nothing moves unless an axis is cut across.

        Args:
            node: names the layers.
            value: not a constant.
            target: the new shape with stand-ins for open sizes; at most one -1.

        Returns:
            The value.

        Raises:
            NotConvertible: if the sizes do not fit.
        """
        try:
            sizes = resolved(value.shape, target)
        except NotConvertible as error:
            hint = f". {OPEN_SIZES}" if value.axes.is_free else ""
            raise NotConvertible(f"{error}{hint}") from None
        layout = axes.reshaped(value.axes, sizes)
        if layout is not None:
            return value.replace(layout=layout)
        return self._reshaped_anew(node, value, sizes)

    def _reshaped_anew(self, node: SourceNode, value: Value, sizes: Sequence[int]) -> Value:
        """Reshape across the atoms: in the source's order, with the batch in front."""
        free = [atom for axis in value.axes.source[1:] for atom in axis if atom.free]
        if any(atom.size != self.batch_size for atom in free):
            raise NotConvertible(f"reshapes axes of sizes that are open. {OPEN_SIZES}")
        tensor, _ = self.in_order(node, value, range(value.rank))
        batch = value.axes.source[0] if value.axes.source else ()
        keeps = len(batch) == 1 and batch[0].free and sizes[0] == batch[0].size
        if any(axes.is_free(axis) for axis in value.axes.source) and not keeps:
            raise NotConvertible("mixes the batch with other axes")
        if keeps:
            shape = tuple(sizes[1:])
            tensor = self.layer(node, keras.layers.Reshape, tensor, target_shape=shape)
        else:
            tensor = self.op(node, keras.ops.reshape, tensor, tuple(sizes))
        return self.result(tensor, range(len(sizes))).replace(nonnegative=value.nonnegative)

    def transpose(self, value: Value, permutation: Sequence[int]) -> Value:
        """Transpose as the source does: nothing moves."""
        return value.replace(layout=axes.transposed(value.axes, permutation))


def resolved(shape: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """Work out the -1 in a shape.

    Args:
        shape: the present one.
        target: the new one; at most one -1.

    Returns:
        The new shape without -1.

    Raises:
        NotConvertible: if the numbers of elements do not fit.

    Example:
        >>> resolved((2, 6, 4), (2, -1))
        (2, 24)
    """
    sizes = [int(size) for size in target]
    known, total = math.prod(size for size in sizes if size != -1), math.prod(shape)
    if sizes.count(-1) == 1 and known > 0 and total % known == 0:
        sizes[sizes.index(-1)] = total // known
    if math.prod(sizes) != total or min(sizes, default=1) < 0:
        raise NotConvertible(f"cannot reshape {tuple(shape)} to {tuple(target)}")
    return tuple(sizes)
