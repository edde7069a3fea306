"""Where quantizers of activations stand, and that the twin network lets everything pass."""

import keras
import numpy as np

from learners.kernels.layers import kernel_layers
from learners.low_bits.activations import places, quantized_graphs
from tests.learners import networks
from utils.graph import Graph, Ref, from_keras, to_keras
from utils.quantization.grid import Grid, rounded


def graphs(bits: int = 3) -> tuple[Graph, Graph, Graph]:
    graph = from_keras(networks.residual())
    layers = kernel_layers(graph)
    found = places(graph, layers, {layer.name: bits for layer in layers})
    images = [networks.images()]
    return graph, *quantized_graphs(graph, found, images, learned=True, seed=0)


def test_layers_that_read_one_tensor_with_as_many_bits_share_a_quantizer() -> None:
    graph = from_keras(networks.residual())
    layers = kernel_layers(graph)
    bits = {layer.name: 3 for layer in layers}
    readers = {place.readers for place in places(graph, layers, bits)}
    assert readers == {("stem",), ("a1",), ("a2",), ("b1", "short"), ("b2",), ("head",)}
    apart = {place.readers for place in places(graph, layers, {**bits, "short": 8})}
    assert {("b1",), ("short",)} <= apart


def test_the_twin_is_the_network_itself() -> None:
    graph, active, idle = graphs()
    images = networks.images(8)
    wanted = to_keras(graph)(images)
    np.testing.assert_array_equal(to_keras(idle)(images), wanted)
    assert [node.name for node in active.nodes] == [node.name for node in idle.nodes]
    assert np.abs(to_keras(active)(images) - wanted).max() > 1e-3


def test_quantized_layers_read_points_of_the_grid() -> None:
    graph, active, _ = graphs()
    model = to_keras(active)
    for node in active.nodes:
        if node.op != "Flowpress>ActivationQuantizer":
            continue
        layer = model.get_layer(node.name)
        scale, zero = float(layer.scale), layer.zero_point
        part = keras.Model(model.inputs, layer.output)
        values = np.asarray(part(networks.images(8)))
        assert len(np.unique(values)) <= 8
        np.testing.assert_allclose(rounded(values, scale, zero, Grid(bits=3)), values, rtol=1e-5)
        behind_relu = "relu" in node.inputs[0].node or "re_lu" in node.inputs[0].node
        assert (zero == 0) == (behind_relu or values.min() >= 0)
    stem = active.node("stem").inputs[0]
    assert stem != Ref(graph.inputs[0].node)
