"""Which kernel gets how many bits, before anything is rounded."""

import types

import numpy as np
import pytest

from learners.budget import parse_budget
from learners.kernels.layers import kernel_layers
from learners.setting import Setting
from learners.uniform_quantization_tf.bits import bit_choices, bit_problem, weight_bits
from learners.uniform_quantization_tf.config import UniformQuantTFConfig
from learners.uniform_quantization_tf.network import plan_of
from learners.uniform_quantization_tf.start import integer_layers
from tests.learners.networks import residual
from utils.errors import InputError
from utils.graph import from_keras
from utils.graph.integer_form import integer_form


@pytest.fixture(scope="module")
def graph():
    return integer_form(from_keras(residual()))


@pytest.fixture(scope="module")
def layers(graph):
    return integer_layers(graph, plan_of(graph))


def setting_of(layers, values):
    sizes = {layer.name: layer.size for layer in layers}
    return Setting(quantity="bits", network={n: sizes[n] for n in values}, values=values)


def test_edges_have_eight_bits(graph, layers):
    assert layers == list(kernel_layers(graph))
    bits = weight_bits(layers, UniformQuantTFConfig(weight_bits=4), None)
    assert list(bits.values()) == [8, *[4] * (len(layers) - 2), 8]
    alike = UniformQuantTFConfig(weight_bits=4, quantize_all_layers=True)
    assert set(weight_bits(layers, alike, None).values()) == {4}


def test_a_setting_says_the_bits_of_all_but_the_edges(layers):
    inner = [layer.name for layer in layers[1:-1]]
    values = {name: 4 + place % 2 for place, name in enumerate(inner)}
    found = weight_bits(layers, UniformQuantTFConfig(), setting_of(layers, values))
    assert found == {layers[0].name: 8, **values, layers[-1].name: 8}


@pytest.mark.parametrize("bits", [1, 9, 32])
def test_bits_that_integers_cannot_have_are_refused(layers, bits):
    values = dict.fromkeys((layer.name for layer in layers[1:-1]), bits)
    with pytest.raises(InputError, match=rf"given {bits} bits. In integers it can have 2 to 8"):
        weight_bits(layers, UniformQuantTFConfig(), setting_of(layers, values))


def test_equal_bits_that_do_not_meet_the_budget_are_more_in_some_layers(layers):
    choices = bit_choices(layers, UniformQuantTFConfig(), parse_budget("bits:6", ("bits",)))
    sizes = np.array([layer.size for layer in layers[1:-1]])
    values = choices.uniform()
    assert set(values) == {4, 8}
    assert values @ sizes == pytest.approx(6 * sizes.sum(), rel=0.05)  # two choices are coarse


@pytest.mark.parametrize("budget", ["bits:3", "bits:9"])
def test_a_budget_out_of_reach_is_refused_with_what_is_in_reach(layers, budget):
    with pytest.raises(InputError, match=r"with 4 or 8 bits.*between 0.1250 .* and 0.2500"):
        bit_choices(layers, UniformQuantTFConfig(), parse_budget(budget, ("bits",)))


def test_a_network_without_inner_layers_has_nothing_to_choose(layers):
    ends = [layers[0], layers[-1]]
    with pytest.raises(InputError, match="--uqtf_quantize_all_layers"):
        bit_choices(ends, UniformQuantTFConfig(), parse_budget("bits:6", ("bits",)))


def test_a_search_is_about_the_inner_layers_and_its_setting_names_them(graph, layers):
    context = types.SimpleNamespace(
        budget=parse_budget("bits:6", ("bits",)),
        stage=types.SimpleNamespace(entry=types.SimpleNamespace(quantity="bits")),
    )
    learner = types.SimpleNamespace(config=UniformQuantTFConfig(), context=context)
    problem = bit_problem(learner, graph)
    setting = problem.setting(problem.uniform())
    assert list(setting.values) == [layer.name for layer in layers[1:-1]]
    bits = weight_bits(layers, UniformQuantTFConfig(), setting)
    assert [bits[la.name] for la in layers[1:-1]] == list(problem.uniform())
