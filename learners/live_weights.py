"""The variables of a Keras model by the names that its graph has for them."""

from typing import Any

import keras
import numpy as np

from utils.graph import Graph
from utils.graph.keras_io import read


class LiveWeights:
    """The variables of a model by the names that its graph has for them.

    Args:
        model: a built Keras model, which is not changed by reading it.
        allow_unsafe: it may hold Python code.

    Attributes:
        graph: the model as it was when this was made.
    """

    def __init__(self, model: keras.Model, *, allow_unsafe: bool = False) -> None:
        self.graph, self._operations = read(model, allow_unsafe=allow_unsafe)

    def variable(self, layer: str, weight: str) -> Any:
        """Look a variable up."""
        # By place: layers inside a layer repeat each other's weight names.
        place = list(self.graph.params[layer]).index(weight)
        return self._operations[layer].weights[place]

    def value(self, layer: str, weight: str) -> np.ndarray:
        """Read a variable."""
        return np.asarray(self.variable(layer, weight))

    def current(self) -> Graph:
        """Give the graph with the weights as they are now."""
        params = {
            layer: {name: self.value(layer, name) for name in arrays}
            for layer, arrays in self.graph.params.items()
        }
        return self.graph.replace(params=params)
