"""The integers of a network: which tensors need a range for an all-int8 file, and which share one.

The table of ops says what each kernel needs (`utils.graph.row.IntegerForm`); this module walks a
network and puts it together:

- every input and every output of an `own` kernel gets a range, which tensors whose values only move
  go on having;
- a ReLU that is all that reads a convolution or a sum is part of its kernel: the range is that of
  what comes out of both;
- what meets in a concatenation, a maximum or a minimum has one range in common, with all that has
  the same ranges already. A kernel of one scale reads and writes it, and without a common range the
  converter takes that of one input for all: values of the others are clipped without a word;
- softmax, sigmoid and tanh have ranges that their kernels settle; where one of them must share
  another range, the converter puts a conversion behind it.

Weights are not activations: kernels get symmetric grids without the lowest step, with scales per
output channel where the kernel has them.

Reference:
    LiteRT 8-bit quantization specification, https://ai.google.dev/edge/litert/models/
    quantization_spec, for symmetric per-axis weights, ranges of kernels, same-scale operators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from utils.graph import ops
from utils.graph.insertion import layer_name
from utils.graph.ir import INPUT_LAYER, Graph, Node, Ref
from utils.graph.row import IntegerForm

Ends = tuple[float, float]
"""Least and greatest value of a range."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RangePlace:
    """One range of activations.

    Attributes:
        refs: the tensors behind which a quantizer with this range must stand, in order; several
            where they share the range. Tensors that have it because values only moved are not here.
        fixed: the range that a kernel always gives; None where it is to be found.
    """

    refs: tuple[Ref, ...]
    fixed: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """For layers and tables: made of the first tensor's node."""
        return layer_name(self.refs[0].node, "range")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightPlace:
    """One weight that a file holds in integers, symmetric about zero.

    Attributes:
        layer: whose.
        weight: its name there.
        axes: the axes, counted from the back, whose indices have scales of their own; () for one
            scale.
    """

    layer: str
    weight: str
    axes: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntegerPlan:
    """All ranges and integer weights of a network.

    Attributes:
        activations: ranges in the order of their first tensors.
        weights: in the order of the network, each once.
        floats: node -> why a file computes it in float.
        range_of: tensor -> which of `activations` its range is; also of tensors that have one
            because values only moved.
    """

    activations: tuple[RangePlace, ...]
    weights: tuple[WeightPlace, ...]
    floats: Mapping[str, str]
    range_of: Mapping[Ref, int] = dataclasses.field(default_factory=dict)


def integer_plan(graph: Graph) -> IntegerPlan:
    """Look where quantizers must stand.

    Args:
        graph: the network as it will run: batch norm folded and ReLU fused (`utils.graph.fold`),
            other activations in layers of their own (`utils.graph.integer_form`).

    Returns:
        The plan; nodes without an int8 kernel are named in it, what they read and give has ranges.

    Example:
        >>> import keras
        >>> from utils.graph import from_keras
        >>> inputs = keras.Input((4, 4, 3), name="image")
        >>> left = keras.layers.Conv2D(2, 1, activation="relu", name="left")(inputs)
        >>> right = keras.layers.MaxPooling2D(1, name="pool")(inputs)
        >>> both = keras.layers.Concatenate(name="both")([left, right])
        >>> plan = integer_plan(from_keras(keras.Model(inputs, both)))
        >>> [[ref.node for ref in place.refs] for place in plan.activations]
        [['image', 'left', 'both']]
        >>> plan.weights
        (WeightPlace(layer='left', weight='kernel', axes=(-1,)),)
    """
    walk = _Walk(graph)
    for node in graph.nodes:
        walk.visit(node)
    return IntegerPlan(
        activations=walk.places(),
        weights=tuple(walk.weights.values()),
        floats=walk.floats,
        range_of=walk.numbers(),
    )


class _Walk:
    """Ranges as far as the walk has come: tensors with one range have one root."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._parents: dict[Ref, Ref] = {}
        self._fixed: dict[Ref, tuple[float, float]] = {}
        self._quantized: list[Ref] = []
        self.weights: dict[tuple[str, str], WeightPlace] = {}
        self.floats: dict[str, str] = {}

    def visit(self, node: Node) -> None:
        form = self._form(node)
        for weight, axes in form.weights.items():
            place = WeightPlace(layer=node.layer, weight=weight, axes=axes)
            self.weights.setdefault((node.layer, weight), place)
        outputs = [Ref(node.name, index) for index in range(len(node.output_shapes))]
        self._parents.update((ref, ref) for ref in outputs)
        joined = {"own": (), "same": node.inputs[:1], "shared": node.inputs}[form.output]
        for ref in outputs:
            for source in joined:
                self._unite(source, ref)
        if form.output != "same" and not (form.fuses and self._relu_follows(node)):
            self._quantize(outputs, form.fixed)

    def _quantize(self, refs: Sequence[Ref], fixed: tuple[float, float] | None) -> None:
        for ref in refs:
            if self._graph.dtype(ref).startswith("float"):
                self._quantized.append(ref)
                if fixed is not None:
                    self._fixed[ref] = fixed

    def places(self) -> tuple[RangePlace, ...]:
        """Collect the tensors of each range."""
        return tuple(
            RangePlace(refs=tuple(refs), fixed=self._common(refs))
            for refs in self._members().values()
        )

    def numbers(self) -> dict[Ref, int]:
        """Number the ranges of all tensors that have one."""
        roots = {root: number for number, root in enumerate(self._members())}
        found = {ref: roots.get(self._root(ref)) for ref in self._parents}
        return {ref: number for ref, number in found.items() if number is not None}

    def _members(self) -> dict[Ref, list[Ref]]:
        """Collect what has a quantizer behind it, by root."""
        members: dict[Ref, list[Ref]] = {}
        for ref in self._quantized:
            members.setdefault(self._root(ref), []).append(ref)
        return members

    def _common(self, refs: Sequence[Ref]) -> tuple[float, float] | None:
        """Give the ends that all of these have by their kernels."""
        ends = {self._fixed.get(ref) for ref in refs}
        return ends.pop() if len(ends) == 1 else None

    def _form(self, node: Node) -> IntegerForm:
        if node.op == INPUT_LAYER:
            return IntegerForm()
        row = ops.find(self._graph, node)
        form = None if row is None or row.integers is None else row.integers(node)
        if form is None:
            self.floats[node.name] = f"{node.op.rpartition('.')[2]} has no int8 kernel"
            return IntegerForm()
        return form

    def _relu_follows(self, node: Node) -> bool:
        """Whether a ReLU is all that reads a node."""
        readers = self._graph.consumers(node.name)
        if len(readers) != 1 or Ref(node.name) in self._graph.outputs:
            return False
        row = ops.find(self._graph, readers[0])
        form = None if row is None or row.integers is None else row.integers(readers[0])
        return form is not None and form.is_relu

    def _unite(self, first: Ref, second: Ref) -> None:
        """Let two tensors have one range."""
        self._parents[self._root(second)] = self._root(first)

    def _root(self, ref: Ref) -> Ref:
        while self._parents[ref] != ref:
            ref = self._parents[ref]
        return ref
