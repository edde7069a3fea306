import pytest

from utils.graph.ops_weighted import ELEMENTWISE_ACTIVATIONS
from utils.reconstructors.activations import FUNCTIONS, OVER_AXIS, describe
from utils.reconstructors.rebuilding import RefusedError


def test_every_activation_that_the_graph_knows_has_a_function():
    assert {*FUNCTIONS} >= ELEMENTWISE_ACTIVATIONS
    assert not {*OVER_AXIS} & {*FUNCTIONS}


def test_a_layer_as_activation_brings_its_settings():
    layer = {
        "module": "keras.layers",
        "class_name": "LeakyReLU",
        "config": {"name": "a", "negative_slope": 0.3},
    }
    assert describe(layer) == ("leaky_relu", {"negative_slope": 0.3})


@pytest.mark.parametrize(
    "activation",
    [
        {"module": "mine", "class_name": "LeakyReLU", "config": {}},
        {"class_name": "function", "config": {"value": "code"}},
        7,
    ],
)
def test_others_are_refused(activation):
    with pytest.raises(RefusedError, match="is not known"):
        describe(activation)
