"""What the reader of a foreign file yields, whatever framework it is from.

Nothing here knows Keras or what an operator means.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.errors import InputError

MAX_FOLDED_ELEMENTS = 1 << 26
"""Largest array that constants are worked out to."""


@dataclasses.dataclass(frozen=True)
class SourceInput:
    """An input of the network.

    Attributes:
        name: of the tensor.
        shape: None for each axis whose size the file leaves open.
        dtype: NumPy's name of its type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True, eq=False)
class SourceNode:
    """One call of an operator.

    Attributes:
        name: of the node, unique.
        op: the operator's name in its framework.
        inputs: names of the tensors read; empty for an optional one that is left out.
        outputs: names of the tensors made.
        attrs: plain values and arrays.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def ints(self, key: str, default: Sequence[int] | int) -> tuple[int, ...]:
        """Read an attribute of several integers."""
        value: Any = self.attrs.get(key)
        value = default if value is None else value
        return (int(value),) if np.ndim(value) == 0 else tuple(int(item) for item in value)


@dataclasses.dataclass(frozen=True, eq=False)
class SourceNetwork:
    """A network as its file describes it.

    Attributes:
        name: a name for it.
        inputs: what it is called with, without constants.
        outputs: names of the tensors it returns.
        nodes: in any order; `ordered` sorts them.
        constants: arrays by tensor name.
        version: of the operators' definitions, where the framework has one (ONNX's opset).
        batch: the batch size the file fixes; None if it is open.
    """

    name: str
    inputs: tuple[SourceInput, ...]
    outputs: tuple[str, ...]
    nodes: tuple[SourceNode, ...]
    constants: Mapping[str, np.ndarray]
    version: int = 0
    batch: int | None = None


class NotConvertible(ValueError):  # noqa: N818 - it is caught and collected, never shown as such
    """Why one node cannot be converted; raised by the functions of the tables of operators."""


@dataclasses.dataclass(frozen=True)
class Offender:
    """A node that cannot be converted."""

    name: str
    op: str
    reason: str


class ConversionError(InputError):
    """A network cannot be converted; the message names every node that stands in the way.

    Attributes:
        offenders: those nodes.
    """

    def __init__(self, network: str, offenders: Iterable[Offender]) -> None:
        self.offenders = tuple(offenders)
        lines = [f"  {bad.name!r} ({bad.op}): {bad.reason}" for bad in self.offenders]
        count = "1 node" if len(lines) == 1 else f"{len(lines)} nodes"
        super().__init__(
            f"{network}: {count} cannot be converted; nothing was written.\n" + "\n".join(lines)
        )


def ordered(network: SourceNetwork) -> list[SourceNode]:
    """Sort the nodes that the outputs need so that each comes after those it reads from.

    Raises:
        InputError: if the network is cyclic or reads a tensor that nothing makes.
    """
    maker = {name: node for node in network.nodes for name in node.outputs if name}
    given = {source.name for source in network.inputs} | set(network.constants)
    done: dict[int, SourceNode] = {}
    for wanted in network.outputs:
        _visit(network, wanted, maker, given, done)
    return list(done.values())


def _visit(
    network: SourceNetwork,
    wanted: str,
    maker: Mapping[str, SourceNode],
    given: set[str],
    done: dict[int, SourceNode],
) -> None:
    """Depth first, with a stack of its own: networks are deeper than Python's recursion."""
    open_nodes: set[int] = set()
    stack: list[tuple[str, bool]] = [(wanted, False)]
    while stack:
        name, is_leaving = stack.pop()
        if not name or (name in given and name not in maker):
            continue
        node = maker.get(name)
        if node is None:
            raise InputError(
                f"{network.name}: tensor {name!r} is read, but nothing makes it: the file is "
                "damaged. Export the network anew."
            )
        if is_leaving:
            open_nodes.discard(id(node))
            done[id(node)] = node
        elif id(node) in open_nodes:
            raise InputError(f"{network.name}: node {node.name!r} reads its own output.")
        elif id(node) not in done:
            open_nodes.add(id(node))
            stack.append((name, True))
            stack.extend((read, False) for read in node.inputs if not _is_done(read, maker, done))


def _is_done(name: str, maker: Mapping[str, SourceNode], done: Mapping[int, SourceNode]) -> bool:
    node = maker.get(name)
    return node is not None and id(node) in done


def check_size(shape: Iterable[int]) -> tuple[int, ...]:
    """Refuse to work out an array that is too large.

    Raises:
        NotConvertible: if it would have more than `MAX_FOLDED_ELEMENTS` elements.
    """
    total, sizes = 1, tuple(int(size) for size in shape)
    for size in sizes:
        total *= max(size, 0)
    if total > MAX_FOLDED_ELEMENTS or any(size < 0 for size in sizes):
        raise NotConvertible(f"makes a constant of shape {sizes}, which is too large")
    return sizes
