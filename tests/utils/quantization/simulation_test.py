"""Quantizers behind tensors."""

import keras
import numpy as np

from utils.graph import Ref, from_keras, to_keras
from utils.quantization.grid import Grid, Scaling, rounded
from utils.quantization.simulation import with_quantizers


def test_all_that_read_a_tensor_read_it_rounded() -> None:
    inputs = keras.Input((4,), name="values")
    left, right = (keras.layers.Rescaling(each)(inputs) for each in (2.0, 3.0))
    graph = from_keras(keras.Model(inputs, [left, right, inputs]))
    scaling = Scaling(np.array([0.25]), np.array([8], np.int32))
    values = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    expected = rounded(values, 0.25, 8, Grid(bits=4))
    scalings = {Ref("values"): scaling}
    found = to_keras(with_quantizers(graph, scalings, 4))(values)
    for output, factor in zip(found, (2.0, 3.0, 1.0), strict=True):
        np.testing.assert_allclose(output, factor * expected, rtol=1e-6)
    idle = to_keras(with_quantizers(graph, scalings, 4, idle=True))(values)
    np.testing.assert_array_equal(idle[2], values)
