"""How far each layer of a quantized network is from the same layer in float, and what to do.

Each layer is looked at twice: with the inputs of the float network, rounded to their grid, which
shows what the layer itself costs; and in the quantized network, where what came before counts too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.graph import Graph, Node, Ref, to_keras_with_tensors
from utils.graph.insertion import Insertion, insert, layer_name
from utils.graph.ir import rename_inputs
from utils.quantization.activation import OP
from utils.quantization.grid import Scaling
from utils.quantization.observation import checked_inputs, pieces

COARSE_DB = 20.0  # below this ratio of signal to noise a layer stands out
USUAL_DB = 35.0  # above it, it is as good as 8 bits get
_BATCH = 16
_ALONE = "alone"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distance:
    """Two tensors compared.

    Attributes:
        distance: `||q - f|| / ||f||`.
        sqnr: signal-to-quantization-noise ratio, -20 log10 of it, in dB.
        cosine: of the angle between them.
    """

    distance: float
    sqnr: float
    cosine: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerDistance:
    """What a layer loses.

    Attributes:
        layer: its node.
        op: its class.
        alone: with float inputs.
        inside: with the inputs of the quantized network.
        advice: what to do about it.
    """

    layer: str
    op: str
    alone: Distance
    inside: Distance
    advice: str


class Sums:
    """What distances follow from, over batches.

    Example:
        >>> sums = Sums()
        >>> sums.add(np.array([3.0, 4.0]), np.array([3.0, 3.0]))
        >>> sums.result()
        Distance(distance=0.2, sqnr=13.979400086720375, cosine=0.9899494936611665)
    """

    def __init__(self) -> None:
        self._signal = self._quantized = self._product = self._noise = 0.0

    def add(self, signal: np.ndarray, quantized: np.ndarray) -> None:
        """Count a batch: float arrays of one shape."""
        a, b = (np.asarray(each, np.float64).ravel() for each in (signal, quantized))
        self._signal += float(a @ a)
        self._quantized += float(b @ b)
        self._product += float(a @ b)
        self._noise += float((a - b) @ (a - b))

    def result(self) -> Distance:
        """Give the distance; of a signal of zeros it is 0 or infinite."""
        if not self._signal:
            distance = math.inf if self._noise else 0.0
        else:
            distance = math.sqrt(self._noise / self._signal)
        norms = math.sqrt(self._signal * self._quantized)
        is_equal = self._noise == 0.0
        return Distance(
            distance=distance,
            sqnr=-20 * math.log10(distance) if 0 < distance < math.inf else _limit(is_equal),
            cosine=self._product / norms if norms else float(is_equal),
        )


def _limit(is_equal: bool) -> float:
    return math.inf if is_equal else -math.inf


def layer_distances(
    before: Graph,
    after: Graph,
    simulated: Graph,
    scalings: Mapping[Ref, Scaling],
    batches: Iterable[Any],
    *,
    bits: int,
) -> list[LayerDistance]:
    """Compare a quantized network with the float one, layer by layer.

    Args:
        before: the network as it runs, in float.
        after: the same nodes with quantized weights.
        simulated: `after` with quantizers behind its tensors.
        scalings: the grids of these.
        batches: inputs.
        bits: of an activation.

    Returns:
        The layers that have weights or a grid, in the order of the network.
    """
    compared = [node for node in before.nodes if node.inputs and Ref(node.name) in scalings]
    twin, ends = _with_twins(before, after, compared, scalings, bits)
    tensors = to_keras_with_tensors(twin)
    model = keras.Model(
        tensors[0].inputs,
        [[tensors[1][Ref(node.name)], tensors[1][Ref(ends[node.name])]] for node in compared],
    )
    whole, inner = to_keras_with_tensors(simulated)
    behind = {node.inputs[0]: node.name for node in simulated.nodes if node.op == OP}
    inside = keras.Model(whole.inputs, [inner[Ref(behind[Ref(node.name)])] for node in compared])
    sums = {node.name: (Sums(), Sums()) for node in compared}
    for batch in batches:
        for piece in pieces(checked_inputs(model, batch), _BATCH):
            inputs = [tf.constant(each) for each in piece]
            pairs = keras.tree.flatten(model(inputs, training=False))
            seen = keras.tree.flatten(inside(inputs, training=False))
            for node, signal, alone, after_all in zip(
                compared, pairs[::2], pairs[1::2], seen, strict=True
            ):
                own, all_before = sums[node.name]
                own.add(np.asarray(signal), np.asarray(alone))
                all_before.add(np.asarray(signal), np.asarray(after_all))
    return [_row(node, *(each.result() for each in sums[node.name])) for node in compared]


def _with_twins(
    before: Graph,
    after: Graph,
    compared: list[Node],
    scalings: Mapping[Ref, Scaling],
    bits: int,
) -> tuple[Graph, dict[str, str]]:
    """Add to a float network each layer once more: quantized, on the float network's tensors.

    Returns:
        The network, and node -> the quantizer behind its twin.
    """
    graph, names = insert(before, [_quantizer(ref, s, bits) for ref, s in scalings.items()])
    rounded = {ref: Ref(name) for ref, name in zip(scalings, names, strict=True)}
    nodes, params, twins = list(graph.nodes), dict(graph.params), {}
    for node in compared:
        name = layer_name(node.name, _ALONE)
        twin = rename_inputs(node, rounded).replace(name=name, layer=name)
        nodes.append(twin.with_attrs(name=name))
        if node.layer in after.params:
            params[name] = after.params[node.layer]
        twins[node.name] = Ref(name)
    graph = graph.replace(nodes=tuple(nodes), params=params)
    ends = [_quantizer(twins[node.name], scalings[Ref(node.name)], bits) for node in compared]
    graph, names = insert(graph, ends)
    return graph, dict(zip((node.name for node in compared), names, strict=True))


def _quantizer(ref: Ref, scaling: Scaling, bits: int) -> Insertion:
    return Insertion(
        source=ref,
        readers=(),
        name=layer_name(ref.node, "rounded"),
        op=OP,
        attrs={"bits": bits, "zero_point": int(scaling.zero_point[0]), "learned": False},
        params={"scale": scaling.scale.astype(np.float32).reshape(())},
    )


def _row(node: Node, alone: Distance, inside: Distance) -> LayerDistance:
    return LayerDistance(
        layer=node.name,
        op=node.op.rpartition(".")[2],
        alone=alone,
        inside=inside,
        advice=advice(alone, inside),
    )


def advice(alone: Distance, inside: Distance) -> str:
    """Say what to do about a layer.

    Example:
        >>> fine = Distance(distance=0.01, sqnr=40.0, cosine=1.0)
        >>> advice(fine, fine)
        'as good as 8 bits get'
    """
    if alone.sqnr < COARSE_DB:
        return "its own grid is too coarse: scales per channel, --equalize, or another calibration"
    if inside.sqnr >= USUAL_DB:
        return "as good as 8 bits get"
    if inside.sqnr < alone.sqnr - 6.0:
        return "look at the layers before it"
    return "--rounding=obq, or training with quantization"
