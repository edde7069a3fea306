"""Row of the op table: EinsumDense, whose equation says what its kernel mixes."""

from __future__ import annotations

import math
import string

import numpy as np

from utils.graph.ir import Graph, Node, Ref
from utils.graph.ops_weighted import freeze_mixed
from utils.graph.row import IN, OUT, Cut, Label, Op, Scope


def parse_equation(equation: str, input_rank: int) -> tuple[str, str, str]:
    """Split an EinsumDense equation into one letter per axis of input, kernel and output.

    Args:
        equation: such as `...x,xy->...y` or `abc,cde->abde`.
        input_rank: number of axes of the input, which an ellipsis fills up.

    Example:
        >>> parse_equation("...x,xy->...y", 3)
        ('ABx', 'xy', 'ABy')
    """
    left, _, output = equation.replace(" ", "").partition("->")
    source, _, kernel = left.partition(",")
    missing = input_rank - len(source.replace("...", ""))
    filler = string.ascii_uppercase[:missing]
    return source.replace("...", filler), kernel, output.replace("...", filler)


def _equation(node: Node, rank: int) -> tuple[str, str, str]:
    return parse_equation(node.attrs["equation"], rank)


def _einsum_dense(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    """Channels may be summed over (a reader), passed through, or made anew (a producer)."""
    label = scope.label(node.inputs[0])
    shape = scope.shape(Ref(node.name))
    source, kernel, output = _equation(node, len(scope.shape(node.inputs[0])))
    letter = None if label is None else source[label.axis]
    if label is not None and letter is not None and letter in output:
        freeze_mixed(node, scope, label.ids)
        _follow(node, scope, {letter: (label.ids, OUT)})
        return [Label(output.index(letter), label.ids)]
    followed = {}
    if label is not None and letter is not None:
        followed[letter] = (label.ids, IN)
        scope.read(node, label.axis, label.ids)
    made = [symbol for symbol in output if symbol in kernel and symbol not in source]
    out = None
    if len(made) == 1:  # with two (heads x size) neither is cut
        axis = output.index(made[0])
        out = Label(axis, scope.produce(node, shape[axis] or 0))
        freeze_mixed(node, scope, out.ids)
        followed[made[0]] = (out.ids, OUT)
    _follow(node, scope, followed)
    return [out]


def _follow(node: Node, scope: Scope, letters: dict[str, tuple[np.ndarray, str]]) -> None:
    """Tie the kernel's and the bias's axes by their letters."""
    kernel = _equation(node, len(scope.shape(node.inputs[0])))[1]
    for weight, axes in (("kernel", kernel), ("bias", node.attrs.get("bias_axes") or "")):
        for position, letter in enumerate(axes):
            ids, role = letters.get(letter, (None, OUT))
            scope.follow_axis(node, weight, position - len(axes), ids, role)


def _resize_einsum_dense(node: Node, cut: Cut) -> tuple[Node, ...]:
    kept = cut.kept(Ref(node.name))
    wanted = node.attrs["output_shape"]
    wanted = [wanted] if isinstance(wanted, int) else list(wanted)
    from_back = 0 if kept is None else kept[0] - len(cut.shape(Ref(node.name)))
    if kept is None or wanted[from_back] is None:
        return (node,)
    wanted[from_back] = int(kept[1].sum())
    return (node.with_attrs(output_shape=tuple(wanted)),)


def _uses(graph: Graph, node: Node, skip_padding: bool) -> np.ndarray:
    """Every kernel entry meets all combinations of the axes that the kernel lacks."""
    old, new = graph.shape(node.inputs[0]), graph.shape(Ref(node.name))
    source, kernel, output = _equation(node, len(old))
    sizes = {**dict(zip(source, old, strict=True)), **dict(zip(output, new, strict=True))}
    sizes[source[0]] = 1  # the batch
    return np.array(math.prod(size or 1 for axis, size in sizes.items() if axis not in kernel))


ROWS: dict[str, Op] = {
    "keras.layers.EinsumDense": Op(
        couple=_einsum_dense,
        note="axes that are summed over are read, a new axis is made, others pass",
        resize=_resize_einsum_dense,
        weights={"kernel": {}, "bias": {}},  # the equation says which axis is which
        uses={"kernel": _uses},
        kernel="kernel",
        timed=frozenset({"equation", "activation", "bias_axes"}),
    ),
}
