"""Which kernel gets how many bits, before anything is rounded."""

import types

import numpy as np
import pytest

from learners.budget import parse_budget
from learners.kernels.layers import kernel_layers
from learners.setting import Setting
from learners.uniform_quantization_tf import bits as bits_module
from learners.uniform_quantization_tf.bits import bit_choices, bit_problem, weight_bits
from learners.uniform_quantization_tf.config import UniformQuantTFConfig
from learners.uniform_quantization_tf.learner import UniformQuantTFLearner
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


@pytest.mark.parametrize("rounding", ["obq", "nearest"])
def test_tables_are_rounded_as_the_learner_rounds(graph, rounding, monkeypatch):
    made = []

    def tables(graph, layers, sampler, method, **options):
        made.append(method.by_moments)

    monkeypatch.setattr(bits_module, "KernelTables", tables)
    monkeypatch.setattr(bits_module, "kernel_problem", lambda *given, **options: given[5]())
    learner = types.SimpleNamespace(
        config=UniformQuantTFConfig(rounding=rounding),
        context=types.SimpleNamespace(budget=parse_budget("bits:6", ("bits",))),
        sampler=lambda: None,
    )
    bit_problem(learner, graph)
    assert made == [rounding == "obq"]


def files_of(budget=None, setting=None, **flags):
    return UniformQuantTFLearner.file_weights(
        residual(),
        UniformQuantTFConfig(**flags),
        budget=None if budget is None else parse_budget(budget, ("bits",)),
        setting=setting,
        allow_unsafe=False,
    )


def test_weights_of_the_file_follow_what_is_settled(layers):
    inner = [layer.name for layer in layers[1:-1]]
    assert files_of() == files_of("bits:8") == "int8"
    assert files_of(weight_bits=4) == files_of("bits:4") == files_of("bits:6") == "int4"
    for bits, weights in ((3, "int4"), (4, "int4"), (5, "int8")):
        setting = setting_of(layers, {**dict.fromkeys(inner, 8), inner[0]: bits})
        assert files_of(setting=setting) == weights


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
