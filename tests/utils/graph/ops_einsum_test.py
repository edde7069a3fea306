"""Einsum equations: parsed, and counted like the product that they are."""

import keras
import numpy as np
import pytest
from keras import layers

from utils.graph import complexity, from_keras
from utils.graph.ops_einsum import parse_equation


def test_parse_equation():
    assert parse_equation("abc, cde -> abde", 3) == ("abc", "cde", "abde")
    assert parse_equation("...x,xy->...y", 4) == ("ABCx", "xy", "ABCy")
    assert parse_equation("ab...,bc->ac...", 4) == ("abAB", "bc", "acAB")


@pytest.mark.parametrize(
    ("equation", "output", "kernel", "flops"),
    [
        ("abc,cd->abd", (3, 2), (4, 2), 3 * 4 * 2),
        ("abc,cde->abde", (3, 2, 5), (4, 2, 5), 3 * 4 * 2 * 5),
        ("abc,bd->adc", (2, 4), (3, 2), 3 * 2 * 4),
    ],
)
def test_multiply_adds_are_all_the_products_that_are_summed(equation, output, kernel, flops):
    inputs = keras.Input((3, 4))
    layer = layers.EinsumDense(equation, output)
    model = keras.Model(inputs, layer(inputs))
    assert tuple(layer.kernel.shape) == kernel
    assert complexity(from_keras(model)).flops == flops
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(model(x), np.einsum(equation, x, layer.kernel), atol=1e-5)
