"""Which variables are trained by latent values."""

import numpy as np

from learners.kernels.layers import kernel_layers
from learners.low_bits.grids import GridCoding
from learners.low_bits.start import nearest_start
from learners.low_bits.tying import tied
from tests.learners.networks import vgg
from utils.graph import from_keras, to_keras
from utils.quantization.groups import Grouping
from utils.training.latent import Unquantized


def test_kernels_on_codes_and_zeros_that_stay():
    graph = from_keras(vgg())
    kernel = graph.params["fc1"]["kernel"].copy()
    kernel[:3] = 0.0
    params = {**graph.params, "fc1": {**graph.params["fc1"], "kernel": kernel}}
    graph = graph.replace(params=params)
    layers = [layer for layer in kernel_layers(graph) if layer.name in ("conv1", "fc2")]
    coding = GridCoding(lambda axes: Grouping("channel", axes=axes))
    start = nearest_start(graph, layers, {"conv1": 3, "fc2": 4}, coding)
    model = to_keras(start.graph)
    found = {
        each.variable.path: each
        for each in tied(model, graph, layers, start.codes, allow_unsafe=False)
    }
    assert set(found) == {"conv1/kernel", "fc2/kernel", "fc1/kernel"}
    assert isinstance(found["fc1/kernel"].quantizer, Unquantized)
    np.testing.assert_array_equal(found["fc1/kernel"].absent, kernel == 0)
    assert found["conv1/kernel"].absent is None
