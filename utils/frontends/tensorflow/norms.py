"""Batch normalization that TensorFlow wrote out: found again, so that the network can be trained.

Where no fused kernel is used, `gamma (x - mean) / sqrt(variance + epsilon) + beta` stands in a
graph as two operations on x and some on constants:

    m = gamma * rsqrt(variance + epsilon)        y = x * m + (beta - mean * m)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from utils.frontends.source import SourceNetwork, SourceNode

BATCH_NORM = "batch norm written out"
"""The operation that stands for the found ones: x, gamma, beta, mean, variance."""

_ADDS, _HANDED_ON = ("Add", "AddV2"), ("Identity", "Cast", "Reshape", "Squeeze")


def with_norms(network: SourceNetwork, known: Mapping[str, np.ndarray]) -> SourceNetwork:
    """Put one node in the place of each batch norm that is written out.

    Args:
        network: as read.
        known: what is constant in it, by tensor name, worked out.

    Returns:
        The network; what else stands in it is unchanged.
    """
    search = _Search(network.nodes, known)
    found = [search.norm(node) or node for node in network.nodes]
    constants = {**network.constants, **search.added}
    return dataclasses.replace(network, nodes=tuple(found), constants=constants)


class _Search:
    """Looks at nodes from an addition up.

    Attributes:
        added: constants that the found nodes read.
    """

    def __init__(self, nodes: Sequence[SourceNode], known: Mapping[str, np.ndarray]) -> None:
        self._maker = {name: node for node in nodes for name in node.outputs}
        self._known = known
        self._reads: dict[str, int] = {}
        for node in nodes:
            for name in node.inputs:
                self._reads[name] = self._reads.get(name, 0) + 1
        self.added: dict[str, np.ndarray] = {}

    def norm(self, node: SourceNode) -> SourceNode | None:
        """Read a node as the last one of a batch norm; None if it is not."""
        for scaled, shift in self._ways(node, _ADDS):
            if shift not in self._known or scaled in self._known or self._reads.get(scaled) != 1:
                continue
            for x, scale in self._ways(self._maker.get(scaled), ("Mul",)):
                parts = self._parts(scale, shift) if x not in self._known else None
                if parts is not None:
                    return self._node(node, x, *parts)
        return None

    def _node(
        self, node: SourceNode, x: str, arrays: Sequence[np.ndarray], epsilon: float
    ) -> SourceNode:
        names = [f"{node.name}/{part}" for part in ("gamma", "beta", "mean", "variance")]
        self.added.update(zip(names, arrays, strict=True))
        return SourceNode(
            name=node.name,
            op=BATCH_NORM,
            inputs=(x, *names),
            outputs=node.outputs,
            attrs={"epsilon": epsilon, "channel_axis": 3},
        )

    def _parts(self, scale: str, shift: str) -> tuple[list[np.ndarray], float] | None:
        """Take the two constants apart: gamma, beta, mean, variance, and epsilon."""
        found = self._scale(scale)
        behind = self._made_by(shift, ("Sub",))
        if found is None or behind is None:
            return None
        gamma, variance, epsilon = found
        beta, moved = behind.inputs
        mean = next(
            (
                one
                for one, other in self._ways(self._made_by(moved, ("Mul",)), ("Mul",))
                if self._root(other) == self._root(scale)
            ),
            None,
        )
        if mean is None or beta not in self._known or mean not in self._known:
            return None
        size = self._known[scale].size
        arrays = [np.ones(size, np.float32) if gamma is None else self._known[gamma],
                  self._known[beta], self._known[mean], self._known[variance]]  # fmt: skip
        if any(array.size != size or array.shape[-1:] != (size,) for array in arrays):
            return None  # not over the last axis
        return [array.reshape(-1) for array in arrays], epsilon

    def _scale(self, scale: str) -> tuple[str | None, str, float] | None:
        """Read gamma * rsqrt(variance + epsilon); gamma may be missing."""
        root = self._made_by(scale, ("Rsqrt",))
        if root is not None:
            return self._variance(None, root)
        for one, other in self._ways(self._made_by(scale, ("Mul",)), ("Mul",)):
            root = self._made_by(one, ("Rsqrt",))
            if root is not None and other in self._known:
                return self._variance(other, root)
        return None

    def _variance(
        self, gamma: str | None, root: SourceNode
    ) -> tuple[str | None, str, float] | None:
        for variance, epsilon in self._ways(self._made_by(root.inputs[0], _ADDS), _ADDS):
            if variance not in self._known or self._known.get(epsilon, np.zeros(2)).size != 1:
                continue
            if self._known[variance].size > 1 or epsilon == self._last(root):
                return gamma, variance, float(self._known[epsilon].reshape(()))
        return None

    def _last(self, root: SourceNode) -> str:
        """Name epsilon where variance, too, is one number: what stands last."""
        added = self._made_by(root.inputs[0], _ADDS)
        return "" if added is None else added.inputs[-1]

    def _ways(self, node: SourceNode | None, ops: Sequence[str]) -> list[tuple[str, str]]:
        """Give both orders of a node's two inputs, if it is one of these operations."""
        if node is None or node.op not in ops or len(node.inputs) != 2:
            return []
        first, second = node.inputs
        return [(first, second), (second, first)]

    def _made_by(self, name: str, ops: Sequence[str]) -> SourceNode | None:
        node = self._maker.get(self._root(name))
        return node if node is not None and node.op in ops else None

    def _root(self, name: str) -> str:
        """Go up through operations that hand a constant on."""
        node = self._maker.get(name)
        while node is not None and node.op in _HANDED_ON and node.inputs[0] != name:
            name = node.inputs[0]
            node = self._maker.get(name)
        return name
