import keras
import pytest

from nets.backbones import resnet_v1b
from utils.graph import complexity, from_keras


@pytest.fixture(scope="module")
def graph():
    inputs = keras.Input(resnet_v1b.INPUT_SHAPE)
    return from_keras(keras.Model(inputs, resnet_v1b.build(inputs)))


def test_parameters_are_the_published_ones(graph):
    trained = [
        array.size
        for arrays in graph.params.values()
        for name, array in arrays.items()
        if not name.startswith("moving_")
    ]
    assert sum(trained) == 25_557_032


def test_multiply_adds_are_the_published_ones(graph):
    assert complexity(graph).flops == 4_089_184_256
    assert complexity(graph, skip_padding=True).flops == 3_948_251_904


def test_the_stride_is_in_the_middle_of_a_bottleneck(graph):
    assert graph.node("stage2_block0_1_conv").attrs["strides"] == (1, 1)
    assert graph.node("stage2_block0_2_conv").attrs["strides"] == (2, 2)


def test_refusals():
    with pytest.raises(ValueError, match=r"`size` must be one of \[50, 101, 152\]. Received: 20."):
        resnet_v1b.build(keras.Input((32, 32, 3)), size=20)
