"""By how much a network's outputs err when one part of it alone is changed: measured, not derived.

Weighted errors of a layer's outputs (`tables.py`) are of first order, and take errors at different
positions for independent. Where a layer's output is averaged over positions in the end, errors that
all of them share count many times as much. So each part is changed by itself, at a few choices, and
the network is run on a few images; between those choices the error follows that of the layer
(`learners.search.calibration.along`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from utils.graph import Graph, to_keras
from utils.traced import traced

NUM_IMAGES = 200

Weight = tuple[str, str]
"""(layer, weight), by their names in the graph."""


class Meter:
    """Measures; see the module.

    Args:
        graph: the network.
        batches: images; the first `num_images` of them are taken.
        num_images: at the least, as far as there are so many.
    """

    def __init__(
        self, graph: Graph, batches: Iterable[Any], *, num_images: int = NUM_IMAGES
    ) -> None:
        self._model = to_keras(graph)
        self._variables = {
            (layer, name): variable
            for layer, arrays in graph.params.items()
            for name, variable in zip(arrays, self._model.get_layer(layer).weights, strict=True)
        }
        self._original = {
            (layer, name): array
            for layer, arrays in graph.params.items()
            for name, array in arrays.items()
        }
        self._images = _first(batches, num_images)
        self._run = traced(lambda images: self._model(images, training=False))
        self._before = [_outputs(self._run(images)) for images in self._images]
        self.num_images = sum(len(outputs[0]) for outputs in self._before)

    def value(self, layer: str, name: str) -> np.ndarray:
        """Give a weight as it is."""
        return self._original[layer, name]

    def error(self, changes: Mapping[Weight, np.ndarray]) -> float:
        """Give the squared error of the outputs with some weights changed, which is undone.

        Args:
            changes: (layer, weight) -> its value.

        Returns:
            The mean over the images of the sum over the outputs; what all outputs of an image have
            in common is left out: it moves no decision between them.
        """
        for key, value in changes.items():
            self._variables[key].assign(value)
        try:
            pairs = zip(self._images, self._before, strict=True)
            total = sum(squares(_outputs(self._run(images)), old) for images, old in pairs)
        finally:
            for key in changes:
                self._variables[key].assign(self._original[key])
        return total / max(self.num_images, 1)


class OutputErrors:
    """By how much networks' outputs err, whatever their shapes inside.

    Args:
        model: the network before.
        images: batches (images, …), the same at every pass.
    """

    def __init__(self, model: keras.Model, images: Iterable[Any]) -> None:
        self._images = images
        self._before = [_outputs(model(batch, training=False)) for batch, *_ in images]

    def __call__(self, model: keras.Model) -> float:
        """Give the error of a network's outputs, as `Meter.error` counts it."""
        run = traced(lambda batch: model(batch, training=False))
        pairs = zip(self._images, self._before, strict=True)
        total = sum(squares(_outputs(run(batch)), old) for (batch, *_), old in pairs)
        return total / max(sum(len(old[0]) for old in self._before), 1)


def squares(new: list[np.ndarray], old: list[np.ndarray]) -> float:
    """Sum the squared differences of outputs [n, …], less what all of a sample share.

    Example:
        >>> squares([np.array([[3.0, 1.0]])], [np.array([[1.0, 1.0]])])
        2.0
    """
    total = 0.0
    for given, wanted in zip(new, old, strict=True):
        moved = (given - wanted).reshape(len(given), -1)
        if moved.shape[1] > 1:
            moved = moved - moved.mean(axis=1, keepdims=True)
        total += float(np.sum(moved**2))
    return total


def _outputs(outputs: Any) -> list[np.ndarray]:
    return [np.asarray(each, np.float64) for each in keras.tree.flatten(outputs)]


def _first(batches: Iterable[Any], num_images: int) -> list[Any]:
    found, count = [], 0
    for images in batches:
        size = len(keras.tree.flatten(images)[0])
        left = num_images - count
        found.append(keras.tree.map_structure(lambda part, left=left: part[:left], images))
        count += min(size, left)
        if count >= num_images:
            break
    return found
