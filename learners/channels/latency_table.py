"""The table of layer latencies: every layer with weights timed alone, at a few channel counts.

A network's time is roughly the sum over its layers. Each layer that loses channels is exported by
itself, with as many input and output channels as a group's counts give it, and timed; layers of
equal shape share a measurement. A layer between two groups is timed along each of them, the other
whole; together they multiply. Additions, paddings and the interpreter are not in the table: the
line through whole networks (`measured.py`) takes them up.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.channels.cost import NetworkCost
from learners.channels.measured import Measurements
from learners.search.choices import ChoiceLayer, untouched
from utils.export.runner import timed_call
from utils.export.tflite import convert
from utils.graph import Graph, Node, ops
from utils.latency import measure
from utils.progress import WorkProgress

MAX_POINTS = 5  # counts at which a group is measured; between them the time is interpolated
REPEATS, WARMUP = 200, 30
_AT_ONCE = 48  # files that are timed in the same turns
_NOTHING = "layer:nothing"


class LatencyTable:
    """Predicts the time of a network's layers; see the module.

    Args:
        cost: the network and its groups.
        layers: the groups' choices, in the same order.
        measurements: where layer times are kept.
    """

    def __init__(
        self, cost: NetworkCost, layers: Sequence[ChoiceLayer], measurements: Measurements
    ) -> None:
        self._measurements = measurements
        self._points = [_spread(layer.choices) for layer in layers]
        full = untouched(layers)
        whole = cost.cut(full)
        timed = [node for node in whole.nodes if _is_timed(whole, node)]
        keys = {node.name: _key(whole, node) for node in timed}
        models = {keys[node.name]: (whole, node) for node in timed}
        # Layer name and group -> keys along the group's points.
        profiles: dict[tuple[str, int], list[str]] = {}
        for number, points in enumerate(self._points):
            for point in points:
                values = full.copy()
                values[number] = point
                graph = cost.cut(values)
                for node in timed:
                    if number in cost.owners(node.layer):
                        key = _key(graph, graph.node(node.name))
                        models.setdefault(key, (graph, graph.node(node.name)))
                        profiles.setdefault((node.name, number), []).append(key)
        self._time(models)
        self._full = {name: self._alone(key) for name, key in keys.items()}
        self._profiles = {
            place: np.maximum.accumulate([self._alone(key) for key in along])
            for place, along in profiles.items()
        }

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Predict the layers' time of candidates int [n, groups]: milliseconds [n]."""
        times = {name: np.full(len(values), full) for name, full in self._full.items()}
        for (name, number), profile in self._profiles.items():
            along = np.interp(values[:, number], self._points[number], profile)
            times[name] *= along / max(self._full[name], np.finfo(float).tiny)
        return np.sum(list(times.values()), axis=0)

    def _alone(self, key: str) -> float:
        """A layer's time less that of a file that does next to nothing."""
        return max(self._measurements[key] - self._measurements[_NOTHING], 1e-4)

    def _time(self, models: dict[str, tuple[Graph, Node]]) -> None:
        missing = [key for key in models if key not in self._measurements]
        if not missing and _NOTHING in self._measurements:
            return
        with WorkProgress("timing layers", "layers") as progress:
            for start in range(0, max(len(missing), 1), _AT_ONCE):
                calls = {_NOTHING: timed_call(convert(_nothing(), "float32"))}
                for key in missing[start : start + _AT_ONCE]:
                    calls[key] = timed_call(convert(_layer_model(*models[key]), "float32"))
                    progress.update(start + len(calls) - 1, len(missing))
                stats = measure(calls, repeats=REPEATS, warmup=WARMUP)
                times = {key: float(np.median(stats[key].block_p50)) for key in calls}
                self._measurements.add(times)


def _spread(choices: Sequence[int]) -> list[int]:
    """Take a few choices, evenly, both ends among them."""
    places = np.linspace(0, len(choices) - 1, min(MAX_POINTS, len(choices)))
    return [choices[place] for place in sorted({round(place) for place in places})]


def _is_timed(graph: Graph, node: Node) -> bool:
    row = ops.find(graph, node)
    return row is not None and row.timed is not None


def _key(graph: Graph, node: Node) -> str:
    """Name what a layer's time depends on: its class, shapes and configuration."""
    row = ops.find(graph, node)
    timed = frozenset() if row is None or row.timed is None else row.timed
    config = {name: _nameless(value) for name, value in node.attrs.items() if name in timed}
    shapes = [graph.shape(node.inputs[0])[1:], node.output_shapes[0][1:]]
    return f"layer:{node.op.rpartition('.')[2]}{json.dumps([shapes, config])}"


def _nameless(value: Any) -> Any:
    """Drop what a layer inside another is called: it costs nothing."""
    if isinstance(value, Mapping):
        return {key: _nameless(entry) for key, entry in value.items() if key != "name"}
    return value


def _layer_model(graph: Graph, node: Node) -> keras.Model:
    inputs = keras.Input(graph.shape(node.inputs[0])[1:])
    layer = getattr(keras.layers, node.op.rpartition(".")[2]).from_config(dict(node.attrs))
    return keras.Model(inputs, layer(inputs))


def _nothing() -> keras.Model:
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1)(inputs))
