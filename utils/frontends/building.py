"""Building a Keras network from a source network, one node after the other.

A front end brings a table of functions, one for each operator: a function takes the `Building` and
the node, *calls Keras layers or keras.ops operations* and returns the node's values. What it cannot
express it says by raising `NotConvertible`; all such nodes are collected and named at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from utils.errors import InputError
from utils.frontends import layout as axes
from utils.frontends.convert import Converted
from utils.frontends.layout import Atom, Axis, Layout
from utils.frontends.source import (
    MAX_FOLDED_ELEMENTS,
    ConversionError,
    NotConvertible,
    Offender,
    SourceInput,
    SourceNetwork,
    SourceNode,
    check_size,
    ordered,
)
from utils.frontends.values import Value
from utils.graph.ir import unique_name
from utils.graph.keras_reading import first_line
from utils.graph.traceable import traceable_name

Function = Callable[["Building", SourceNode], Value | Sequence[Value]]
Fold = Callable[[SourceNode, list[Any]], Sequence[Any]]
OPEN_SIZES = "Give the input's size with --input_shape."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operators:
    """What a front end knows about its framework's operators.

    Attributes:
        functions: how each is built of Keras layers.
        folds: functions that work constants out: node and arrays in, arrays out.
        spatial: operators whose first input is an image with its channels on axis 1; network
            inputs that reach one are given channels-last.
        passing: operators that leave the axes of an image where they are.
    """

    functions: Mapping[str, Function]
    folds: Mapping[str, Fold]
    spatial: frozenset[str]
    passing: frozenset[str]


def build(network: SourceNetwork, operators: Operators) -> Converted:
    """Build a Keras network with the source's weights.

    The batch is left open where the network allows it; where it does not, the batch size of the
    file is kept and a note says so.

    Args:
        network: as read.
        operators: of its framework.

    Returns:
        The network.

    Raises:
        ConversionError: if nodes cannot be converted; it names all of them.
    """
    try:
        return Building(network, operators, open_batch=True).run()
    except ConversionError as error:
        if network.batch is None or not any(source.shape for source in network.inputs):
            raise
        try:
            converted = Building(network, operators, open_batch=False).run()
        except ConversionError:
            raise error from None
        reason = error.offenders[0].reason.rstrip(".")
        note = f"The batch size {network.batch} of the file is fixed: {reason}."
        return dataclasses.replace(converted, notes=(*converted.notes, note))


class Building:
    """One network while it is built.

    Attributes:
        network: the source.
        values: what stands for each of its tensors so far.
        notes: what the user should know.
    """

    def __init__(self, network: SourceNetwork, operators: Operators, open_batch: bool) -> None:
        self.network = network
        self.values: dict[str, Value] = {"": Value()}
        self.notes: list[str] = []
        self._operators = operators
        self._open_batch = open_batch
        self._offenders: list[Offender] = []
        self._names: set[str] = set()
        self._done: set[str] = set()  # tensors whose node another one has taken over
        self._nodes = ordered(network)
        self._readers: dict[str, list[SourceNode]] = {}
        for node in self._nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)

    def run(self) -> Converted:
        """Build all nodes.

        Raises:
            ConversionError: if nodes cannot be converted.
        """
        for name, array in self.network.constants.items():
            self.values[name] = Value(array=array)
        inputs, input_orders = [], {}
        sizes = iter(axes.FREE_SIZES)
        for source in self.network.inputs:
            if source.name not in self._readers and source.name not in self.network.outputs:
                self.notes.append(f"The input {source.name!r} is not used and was left out.")
                continue
            value, order = self._input(source, sizes)
            self.values[source.name] = value
            inputs.append(value.tensor)
            input_orders[source.name] = order
        self.build_nodes(self._nodes)
        if self._offenders:
            raise ConversionError(self.network.name, self._offenders)
        outputs, output_orders = self._outputs()
        single = [each[0] if len(each) == 1 else each for each in (inputs, outputs)]
        model = keras.Model(*single, name=traceable_name(self.network.name))
        return Converted(model, input_orders, output_orders, tuple(self.notes))

    # What the functions of operators call.

    def input(self, node: SourceNode, place: int) -> Value:
        """The value that a node reads at a place.

        Raises:
            NotConvertible: if the node leaves it out.
        """
        if not self.has(node, place):
            raise NotConvertible(f"lacks its input {place}")
        return self.values[node.inputs[place]]

    @staticmethod
    def has(node: SourceNode, place: int) -> bool:
        """Whether a node has an (optional) input."""
        return len(node.inputs) > place and bool(node.inputs[place])

    def constant(self, node: SourceNode, place: int, what: str, is_shape: bool = False) -> Any:
        """An input that must be known before the network runs.

        Args:
            node: the node.
            place: of the input.
            what: what it is, for the message.
            is_shape: whether stand-ins of sizes that are not known may be in it.

        Returns:
            The array.

        Raises:
            NotConvertible: if it is computed.
        """
        value = self.input(node, place)
        if value.array is None:
            raise NotConvertible(f"its {what} is computed while the network runs")
        if value.is_shape and not is_shape:
            raise NotConvertible(f"its {what} depends on a size that is open. {OPEN_SIZES}")
        return value.array

    def readers(self, name: str) -> list[SourceNode]:
        """Nodes that read a tensor."""
        return self._readers.get(name, [])

    def only_reader(self, name: str) -> SourceNode | None:
        """The one node that reads a tensor, if there is but one and it is no output."""
        found = self.readers(name)
        return found[0] if len(found) == 1 and name not in self.network.outputs else None

    def take_over(self, node: SourceNode) -> str:
        """Say that the present node does a later one's work too; returns that one's output."""
        self._done.add(node.outputs[0])
        return node.outputs[0]

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
        return axes.BATCH_SIZE if self.network.batch is None else self.network.batch

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
        if value.axes.is_free:
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

    def branch(self, network: SourceNetwork) -> list[Value]:
        """Build a network inside a node, the chosen branch of an `If`; gives its outputs.

        Args:
            network: its inputs are tensors of the network around it.
        """
        for name, array in network.constants.items():
            self.values[name] = Value(array=array)
        nodes = ordered(network)
        for node in nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)
        self.build_nodes(nodes)
        missing = [name for name in network.outputs if name not in self.values]
        if missing:
            raise NotConvertible("a node of its branch cannot be converted")
        return [self.values[name] for name in network.outputs]

    def build_nodes(self, nodes: Sequence[SourceNode]) -> None:
        """Build nodes in their order; those that read what failed are only looked up."""
        for node in nodes:
            if node.outputs[0] in self._done and node.outputs[0] in self.values:
                continue
            is_known = node.op in self._operators.functions or node.op in self._operators.folds
            try:
                if not is_known:
                    raise NotConvertible("there is no Keras counterpart for this operator")
                if all(name in self.values for name in node.inputs):
                    self._build_node(node)
            except NotConvertible as error:
                self._offenders.append(Offender(node.name, node.op, str(error)))

    def _build_node(self, node: SourceNode) -> None:
        read = [self.values[name] for name in node.inputs]
        given = [value for name, value in zip(node.inputs, read, strict=True) if name]
        fold = self._operators.folds.get(node.op)
        if fold is not None and all(value.is_constant for value in given):
            results = _folded(node, fold, read)
        elif node.op not in self._operators.functions:
            raise NotConvertible("it is understood only where its inputs are constants")
        else:
            made = _guarded(lambda: self._operators.functions[node.op](self, node))
            results = [made] if isinstance(made, Value) else list(made)
        for name, value in zip(node.outputs, results, strict=False):
            if name:
                self.values[name] = value
        missing = [name for name in node.outputs[len(results) :] if name and self.readers(name)]
        if missing:
            raise NotConvertible(f"its output {missing[0]!r} is used")

    # Inputs and outputs.

    def _input(self, source: SourceInput, sizes: Any) -> tuple[Value, tuple[int, ...]]:
        order = tuple(range(len(source.shape)))
        if len(source.shape) >= 3 and self._reaches_spatial(source.name, len(source.shape)):
            order = (0, *order[2:], 1)
        shape = list(source.shape)
        stand_ins = {}
        for axis, size in enumerate(shape):
            if axis == 0 and self._open_batch and size in (None, self.network.batch):
                shape[0] = None
                stand_ins[0] = self.batch_size
            elif axis == 1 and self._open_batch and self._is_batch_behind(source):
                shape[1] = None
                stand_ins[1] = self.batch_size
            elif size is None:
                is_batch = axis > 0 and self._shares_batch(source, axis)
                stand_ins[axis] = self.batch_size if is_batch else next(sizes, 0)
                if not stand_ins[axis]:
                    raise InputError(f"too many open sizes in {source.name!r}. {OPEN_SIZES}")
        name = unique_name(traceable_name(source.name), self._names)
        self._names.add(name)
        tensor = keras.Input(
            batch_shape=tuple(shape[axis] for axis in order), dtype=source.dtype, name=name
        )
        return self.result(tensor, order, sizes=stand_ins), order

    def _shares_batch(self, source: SourceInput, axis: int) -> bool:
        """Whether an open size behind axis 0 is the batch: a recurrent state [2, batch, units]."""
        return source.shape[0] is not None and axis == 1

    def _is_batch_behind(self, source: SourceInput) -> bool:
        """Whether the file's batch size stands on axis 1: a recurrent state [2, 1, units]."""
        shape, batch = source.shape, self.network.batch
        has_others = len(self.network.inputs) > 1
        return has_others and len(shape) == 3 and batch == shape[1] and batch != shape[0]

    def _reaches_spatial(self, name: str, rank: int) -> bool:
        """Whether an input of the network is an image with its channels on axis 1."""
        waiting, seen = [name], {name}
        while waiting:
            current = waiting.pop()
            for node in self.readers(current):
                if node.op in self._operators.spatial and node.inputs[0] == current:
                    return True
                if node.op in self._operators.passing:
                    fresh = [made for made in node.outputs if made and made not in seen]
                    seen.update(fresh)
                    waiting.extend(fresh)
        return False

    def _outputs(self) -> tuple[list[Any], dict[str, tuple[int, ...]]]:
        outputs, orders = [], {}
        for name in self.network.outputs:
            value = self.values[name]
            node = SourceNode(name, "output", (), (name,))
            if value.is_constant:
                raise InputError(
                    f"{self.network.name}: its output {name!r} does not depend on any input."
                )
            tensor, order = self.in_order(node, value, self._output_order(value))
            if tensor is self._given(name):  # a model must not return its input itself
                tensor = self.layer(node, keras.layers.Identity, tensor)
            outputs.append(tensor)
            orders[name] = order
        return outputs, orders

    def _given(self, name: str) -> Any:
        is_input = any(source.name == name for source in self.network.inputs)
        return self.values[name].tensor if is_input else None

    @staticmethod
    def _output_order(value: Value) -> tuple[int, ...]:
        """The order that moves least, with the batch in front if an axis is the batch."""
        order = list(axes.natural_order(value.axes))
        batch = [axis for axis in order if axes.is_free(value.axes.source[axis])]
        if batch and batch[0] != order[0] and not axes.is_free(value.axes.source[order[0]]):
            order.remove(batch[0])
            order.insert(0, batch[0])
        return tuple(order)


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


def _folded(node: SourceNode, fold: Fold, read: Sequence[Value]) -> list[Value]:
    """Work constants out, and once more with other stand-ins if they depend on open sizes."""
    arrays = _guarded(lambda: [np.asarray(a) for a in fold(node, [value.array for value in read])])
    if not any(value.is_shape for value in read):
        return [Value(array=array) for array in arrays]
    try:
        changed = [value.array if value.other is None else value.other for value in read]
        others = [np.asarray(array) for array in fold(node, changed)]
    except Exception:  # the other stand-ins need not fit each other
        others = [np.zeros(0)] * len(arrays)
    return [
        Value(array=array, other=None if _is_equal(array, other) else other)
        for array, other in zip(arrays, others, strict=True)
    ]


def _is_equal(one: np.ndarray, other: np.ndarray) -> bool:
    is_small = one.size <= MAX_FOLDED_ELEMENTS  # repeated entries take no memory, but time
    return is_small and one.shape == other.shape and bool(np.array_equal(one, other))


def _guarded(call: Callable[[], Any]) -> Any:
    """Call a function of a table: what a foreign file's nonsense raises becomes a reason.

    Raises:
        NotConvertible: with the reason.
    """
    try:
        return call()
    except NotConvertible:
        raise
    except MemoryError:
        raise NotConvertible("needs more memory than there is") from None
    except Exception as error:
        raise NotConvertible(
            f"it does not fit what it reads ({type(error).__name__}: {first_line(error)})"
        ) from error
