"""Building a Keras network from a source network, one node after the other.

A front end brings a table of functions, one for each operator: a function takes the `Building` and
the node, *calls Keras layers or keras.ops operations* and returns the node's values. What it cannot
express it says by raising `NotConvertible`; all such nodes are collected and named at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from utils.errors import InputError
from utils.frontends import layout as axes
from utils.frontends.convert import Converted
from utils.frontends.folded import Fold, FoldAllowance, folded, guarded
from utils.frontends.making import OPEN_SIZES, Making
from utils.frontends.source import (
    ConversionError,
    NotConvertible,
    Offender,
    SourceInput,
    SourceNetwork,
    SourceNode,
    ordered,
)
from utils.frontends.values import Value
from utils.graph.ir import unique_name
from utils.graph.keras_reading import first_line
from utils.graph.traceable import traceable_name

Function = Callable[["Building", SourceNode], Value | Sequence[Value]]


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


class Building(Making):
    """One network while it is built.

    Attributes:
        network: the source.
        values: what stands for each of its tensors so far.
        notes: what the user should know.
    """

    def __init__(self, network: SourceNetwork, operators: Operators, open_batch: bool) -> None:
        super().__init__(network.batch)
        self.network = network
        self.values: dict[str, Value] = {"": Value()}
        self.notes: list[str] = []
        self._operators = operators
        self._open_batch = open_batch
        self._allowance = FoldAllowance(network)
        self._offenders: list[Offender] = []
        self._done: set[str] = set()  # tensors whose node another one has taken over
        self._wanted = set(network.outputs)
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
        if self._offenders:
            raise ConversionError(self.network.name, self._offenders)
        single = [each[0] if len(each) == 1 else each for each in (inputs, outputs)]
        try:
            model = keras.Model(*single, name=traceable_name(self.network.name))
        except Exception as error:  # a foreign file may connect nothing with anything
            raise InputError(
                f"{self.network.name}: Keras takes no such network ({first_line(error)})."
            ) from error
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
        return found[0] if len(found) == 1 and not self.is_output(name) else None

    def is_output(self, name: str) -> bool:
        """Whether a tensor is an output: of the network, or of a branch that was chosen."""
        return name in self._wanted

    def take_over(self, node: SourceNode) -> str:
        """Say that the present node does a later one's work too; returns that one's output."""
        self._done.add(node.outputs[0])
        return node.outputs[0]

    def branch(self, network: SourceNetwork) -> list[Value]:
        """Build a network inside a node, the chosen branch of an `If`; gives its outputs.

        Args:
            network: its inputs are tensors of the network around it.
        """
        for name, array in network.constants.items():
            self.values[name] = Value(array=array)
        self._wanted.update(network.outputs)
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
            results = folded(node, fold, read, self._allowance)
        elif node.op not in self._operators.functions:
            raise NotConvertible("it is understood only where its inputs are constants")
        else:
            made = guarded(lambda: self._operators.functions[node.op](self, node))
            results = [made] if isinstance(made, Value) else list(made)
        for name, value in zip(node.outputs, results, strict=False):
            if name:
                self.values[name] = value
        missing = [
            name
            for name in node.outputs[len(results) :]
            if name and (self.readers(name) or self.is_output(name))
        ]
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
        for name in dict.fromkeys(self.network.outputs):
            value = self.values[name]
            node = SourceNode(name, "output", (), (name,))
            if value.is_constant:
                raise InputError(
                    f"{self.network.name}: its output {name!r} does not depend on any input."
                )
            try:
                tensor, order = self.in_order(node, value, self._output_order(value))
            except NotConvertible as error:
                self._offenders.append(Offender(name, node.op, str(error)))
                continue
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
