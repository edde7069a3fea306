"""Who gets how many bits, and who is refused."""

import re

import pytest

from learners.low_bits.bits import activation_bits, edge_layers, quantized_layers, weight_bits
from learners.non_uniform_quantization.config import NonUniformQuantConfig
from learners.setting import Setting
from learners.uniform_quantization.config import UniformQuantConfig
from tests.learners import networks
from utils.errors import InputError
from utils.flags import build
from utils.graph import Graph, from_keras

NAMES = ["stem", "a1", "a2", "b1", "b2", "short", "head"]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return from_keras(networks.residual())


def config(**values: object) -> UniformQuantConfig:
    return build(UniformQuantConfig, {f"uql_{name}": value for name, value in values.items()})


def setting(graph: Graph, **changes: int) -> Setting:
    sizes = {la.name: la.size for la in quantized_layers(graph, config())[1:-1]}
    return Setting(
        quantity="bits", network=sizes, values={**dict.fromkeys(sizes, 3), **changes}, path="b.json"
    )


def test_first_and_last_layer_get_eight_bits(graph: Graph) -> None:
    layers = quantized_layers(graph, config())
    assert [layer.name for layer in layers] == NAMES
    found = weight_bits(graph, config(weight_bits=3), None)
    assert found == {**dict.fromkeys(NAMES, 3), "stem": 8, "head": 8}
    assert weight_bits(graph, config(weight_bits=12), None) == dict.fromkeys(NAMES, 12)
    whole = config(weight_bits=3, quantize_all_layers=True)
    assert weight_bits(graph, whole, None) == dict.fromkeys(NAMES, 3)
    assert edge_layers(graph, config()) == {"stem", "head"}
    assert not edge_layers(graph, whole)


def test_activations_follow_the_same_rule(graph: Graph) -> None:
    assert activation_bits(graph, config()) == {}
    found = activation_bits(graph, config(activation_bits=2))
    assert found == {**dict.fromkeys(NAMES, 2), "stem": 8, "head": 8}


def test_a_setting_says_it_for_all_but_the_edges(graph: Graph) -> None:
    found = weight_bits(graph, config(), setting(graph, a1=2, b2=32))
    assert found == {"stem": 8, "a1": 2, "a2": 3, "b1": 3, "short": 3, "head": 8}


def test_skipped_layers_are_left_alone(graph: Graph) -> None:
    names = [layer.name for layer in quantized_layers(graph, config(skip_op_names="short,b"))]
    assert names == ["stem", "a1", "a2", "head"]


def test_no_other_layer_becomes_the_first_or_the_last_one(graph: Graph) -> None:
    skipping = config(skip_op_names="stem,head", weight_bits=2, activation_bits=3)
    inner = NAMES[1:-1]
    assert weight_bits(graph, skipping, None) == dict.fromkeys(inner, 2)
    assert activation_bits(graph, skipping) == dict.fromkeys(inner, 3)


def test_refusals(graph: Graph) -> None:
    with pytest.raises(InputError, match=r"'a1' is given 20 bits. It can have 1 to 16, or 32"):
        weight_bits(graph, config(), setting(graph, a1=20))
    with pytest.raises(InputError, match="made for another network or with other flags"):
        weight_bits(graph, config(quantize_all_layers=True), setting(graph))
    with pytest.raises(InputError, match="'nothing' in its name"):
        quantized_layers(graph, config(skip_op_names="nothing"))
    with pytest.raises(InputError, match="no kernel to quantize"):
        quantized_layers(graph, config(skip_op_names="a,b,t,s,h"))
    small = config(use_buckets=True, bucket_type="split", bucket_size=100)
    said = re.escape("larger than the kernels of short (96), head (60). Received: 100. Choose at m")
    with pytest.raises(InputError, match=said):
        quantized_layers(graph, small)


def test_codebooks_have_fewer_bits_than_grids(graph: Graph) -> None:
    chosen = setting(graph, a1=9)
    assert weight_bits(graph, config(), chosen)["a1"] == 9
    with pytest.raises(InputError, match=r"'a1' is given 9 bits. It can have 1 to 8, or 32"):
        weight_bits(graph, NonUniformQuantConfig(), chosen)
