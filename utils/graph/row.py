"""What a row of the op table says, and what its functions are given to say it with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from utils.graph.ir import Graph, Node, Ref, Shape

FIXED = -1
"""Element id of an index that belongs to no cuttable channel."""

# Roles: which channels an axis of a weight follows. SELF: those that the layer itself makes, read
# through a recurrent kernel.
IN, MID, OUT, SELF = "in", "mid", "out", "self"


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """Which axis of a tensor carries channels, and which channel element each index of it is.

    Attributes:
        axis: the axis, counted from the front, never 0.
        ids: int64 array [size of the axis]: element ids, `FIXED` where nothing can be cut.
    """

    axis: int
    ids: np.ndarray


class Scope(Protocol):
    """The analysis as the coupling rules see it."""

    def label(self, ref: Ref) -> Label | None:
        """Look up a tensor's label; None if nothing in it can be cut."""

    def shape(self, ref: Ref) -> Shape:
        """Look up the shape of a tensor."""

    def outputs(self, node: Node) -> int:
        """Count the outputs of a node."""

    def produce(self, node: Node, size: int) -> np.ndarray:
        """Give ids to the channels that a layer's weights make; each call of it gets the same."""

    def invent(self, size: int) -> np.ndarray:
        """Give ids to channels that no weights make, such as padding."""

    def read(self, node: Node, axis: int, ids: np.ndarray) -> None:
        """Note that a kernel reads these channels along its input's `axis`."""

    def feed_back(self, node: Node, ids: np.ndarray) -> None:
        """Note that the layer that makes these channels also reads them (its SELF axes)."""

    def follow(self, node: Node, roles: Mapping[str, np.ndarray | None]) -> None:
        """Tie the layer's weights, by their roles in the row, to channels (None: to nothing)."""

    def follow_axis(
        self, node: Node, weight: str, axis: int, ids: np.ndarray | None, role: str
    ) -> None:
        """Tie one axis (counted from the back) of one weight to channels."""

    def unite(self, first: np.ndarray, second: np.ndarray, reason: str) -> None:
        """Couple channels index by index; one coupled to `FIXED` freezes for `reason`."""

    def merge(self, ids: Sequence[np.ndarray]) -> None:
        """Note that the channels of several producers meet here: a residual stream."""

    def freeze(self, ids: np.ndarray, reason: str) -> None:
        """Forbid to cut these channels."""


class Cut(Protocol):
    """A decided cut as the resizing rules see it."""

    def kept(self, ref: Ref) -> tuple[int, np.ndarray] | None:
        """Channel axis of a tensor and a bool array over its old size; None if it is uncut."""

    def shape(self, ref: Ref) -> Shape:
        """Shape of a tensor after the cut."""

    def new_name(self, wanted: str) -> str:
        """Make a name for an added node that is not taken."""


def unchanged(node: Node, cut: Cut) -> tuple[Node, ...]:
    """Leave a node as it is: none of its attributes depends on the number of channels."""
    return (node,)


Uses = Callable[[Graph, Node, bool], np.ndarray]


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """How a layer reads its input map as rows: `Y = X W`, W its kernel [positions * channels, out].

    Attributes:
        kernel_size: (height, width) of the kernel; (1, 1) for Dense.
        strides: of the convolution, (height, width).
        dilation: of the convolution, (height, width).
        same: zero padding as in `padding="same"`.
    """

    kernel_size: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    same: bool = False

    @property
    def num_positions(self) -> int:
        """Spatial positions of the kernel."""
        return self.kernel_size[0] * self.kernel_size[1]

    @property
    def reach(self) -> tuple[int, int]:
        """Height and width of the input window of one output position."""
        return (
            (self.kernel_size[0] - 1) * self.dilation[0] + 1,
            (self.kernel_size[1] - 1) * self.dilation[1] + 1,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntegerForm:
    """How the int8 kernel of an op takes and gives its ranges, as measured with the converter.

    A range says what the least and the greatest integer of a tensor stand for.

    Attributes:
        output: `own`: the output needs a range of its own; `same`: it has that of the first input,
            whose values only move; `shared`: all inputs and the output have one in common.
        fixed: (least, greatest) of an `own` range that the kernel always has.
        fuses: a ReLU that is all that reads the output becomes part of the kernel: only what comes
            out of both has a range.
        is_relu: it is such a ReLU.
        weights: the weights that the kernel holds in integers, and the axes, counted from the back,
            whose indices have scales of their own; () is one scale for all.
    """

    output: Literal["own", "same", "shared"] = "own"
    fixed: tuple[float, float] | None = None
    fuses: bool = False
    is_relu: bool = False
    weights: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)


IntegerRule = Callable[["Node"], IntegerForm | None]


def always(form: IntegerForm) -> IntegerRule:
    """Make the rule of an op whose int8 kernel does not depend on the node."""
    return lambda node: form


Affine = Callable[[Mapping[str, np.ndarray], Mapping[str, Any]], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Op:
    """One row: all that channels, surgery, folding, complexity and exporters know of an op.

    Attributes:
        couple: given the node, the scope and the row, couples channels and returns the label of
            each output.
        note: how channels couple, for the documentation.
        resize: the node (or nodes, the last under the old name) after a cut of its tensors. New
            output shapes need no rule: they follow from the labels.
        weights: role of each weight's axes, counted from the back. A layer with a weight that is
            not listed here is treated as opaque.
        uses: for each weight that is multiplied with activations, how often its entries are used
            per sample: given the graph, the node and `skip_padding`, a count, or one per kernel
            position [kernel height, kernel width]. Their sum over the entries is the layer's
            multiply-adds.
        kernel: the weight that mixes channels, None for ops without one.
        folds: the weight, and its axes from the back, that a scale of the output channels can be
            multiplied into (batch norm folding); None if there is none.
        activation: given the attrs, the value of a layer's `activation` that does the same as the
            op; None if there is none.
        window: given the attrs, how the layer is the linear map `Y = X W` of rows of its input map;
            None where it is none.
        affine: given the weights and the attrs, (scale, shift) float64 [channels] of the map that
            the op is in inference; None if it is no such map.
        absorbs: the weight that can take up an offset of the op's input, and its sign there; None
            if there is none.
        adds: whether the output is the sum of the inputs.
        picks: whether the op picks channels by their indices: a gather.
        timed: the attrs that, beside its shapes, a layer's latency depends on; None for ops that
            are not timed alone.
        of: for a layer around others: the row as it is for one node (given the graph, the node and
            the row), or the reason why it is opaque. None where one row serves all nodes.
        inner: what `of` found for the layer inside.
        integers: given the node, what int8 needs around it; None, or the rule's None, where a file
            computes it in float.
        moves: given the node and a tensor, the same values at the places where the op puts them;
            None where it changes values.
    """

    couple: Callable[[Node, Scope, Op], list[Label | None]]
    note: str
    resize: Callable[[Node, Cut], tuple[Node, ...]] = unchanged
    weights: Mapping[str, Mapping[int, str]] = dataclasses.field(default_factory=dict)
    uses: Mapping[str, Uses] = dataclasses.field(default_factory=dict)
    kernel: str | None = None
    folds: tuple[str, tuple[int, ...]] | None = None
    activation: Callable[[Mapping[str, Any]], Any] | None = None
    window: Callable[[Mapping[str, Any]], Window | None] | None = None
    affine: Affine | None = None
    absorbs: tuple[str, float] | None = None
    adds: bool = False
    picks: bool = False
    timed: frozenset[str] | None = None
    of: Callable[[Graph, Node, Op], Op | str] | None = None
    inner: Op | None = None
    integers: IntegerRule | None = None
    moves: Callable[[Node, np.ndarray], np.ndarray] | None = None


def concrete(shape: Shape, stand_in: int) -> tuple[int, ...]:
    """Put `stand_in` for the batch axis and unknown sizes of a shape.

    Example:
        >>> concrete((None, 4, None, 3), 2)
        (2, 4, 2, 3)
    """
    return tuple(stand_in if size is None else size for size in shape)


def channel_axis(attrs: Mapping[str, Any], rank: int) -> int:
    """Find the axis of the channels by the op's data format.

    Example:
        >>> channel_axis({"data_format": "channels_first"}, rank=4)
        1
    """
    return 1 if attrs.get("data_format") == "channels_first" else rank - 1


def argument(node: Node, position: int, name: str, default: Any = None) -> Any:
    """Look up an argument of the call, given by position or by name."""
    if len(node.args) > position:
        return node.args[position]
    return node.kwargs.get(name, default)


def with_argument(node: Node, position: int, name: str, value: Any) -> Node:
    """Copy of the node with one argument of the call replaced."""
    if len(node.args) > position:
        args = list(node.args)
        args[position] = value
        return node.replace(args=tuple(args))
    return node.replace(kwargs={**node.kwargs, name: value})
