"""Bits as a search problem: costs as stored, budgets, tables; a whole search on the digits."""

import json
import types

import keras
import numpy as np
import pytest

from learners.budget import parse_budget
from learners.kernels.layers import kernel_layers
from learners.kernels.tables import Moments
from learners.low_bits import search
from learners.low_bits.grids import GridCoding
from learners.low_bits.search import BitCost, BitMethod, bit_problem, chosen_layers
from learners.non_uniform_quantization.codebooks import CodebookCoding
from learners.non_uniform_quantization.config import CodebookSearchConfig, NonUniformQuantConfig
from learners.non_uniform_quantization.learner import NonUniformQuantLearner
from learners.reconstruction.statistics import LayerStatistics
from tests.learners import networks
from tests.learners.low_bits.learner_test import copied, kernels_of
from tests.learners.runs import compress
from utils.errors import InputError
from utils.graph import from_keras
from utils.quantization.coding import encode
from utils.quantization.groups import Grouping

CHANNEL = lambda axes: Grouping("channel", axes=axes)  # noqa: E731
CODINGS = {"codebooks": CodebookCoding(CHANNEL), "grids": GridCoding(CHANNEL)}


def config(**values):
    own = {"search": True, "w_bit_min": 2, "w_bit_max": 5}
    return NonUniformQuantConfig(searching=CodebookSearchConfig(**own), **values)


def problem(budget, **values):
    """Make the problem of a network that is never scored."""
    graph = from_keras(networks.vgg())
    entry = types.SimpleNamespace(quantity="bits")
    context = types.SimpleNamespace(
        budget=parse_budget(budget, ("bits", "bytes")), stage=types.SimpleNamespace(entry=entry)
    )
    learner = types.SimpleNamespace(config=config(**values), context=context)
    return bit_problem(learner, graph, CODINGS["codebooks"]), graph


@pytest.mark.parametrize("coding", CODINGS)
def test_bytes_are_those_of_what_is_stored(coding):
    layers = kernel_layers(from_keras(networks.vgg()))
    params = from_keras(networks.vgg()).params
    cost = BitCost(layers, 800.0, CODINGS[coding])
    rows = np.array([[2, 3, 4, 5, 6], [3, 3, 3, 3, 3]])
    found = cost(rows)
    for place, row in enumerate(rows):
        stored = 0
        for layer, bits in zip(layers, row, strict=True):
            kernel = layer.matrix(params)
            code = CODINGS[coding].fit(layer, kernel, int(bits), None)
            stored += sum(tensor.payload_bits for tensor in code.tensors(kernel).values())
        assert found["bytes"][place] == pytest.approx(100.0 + stored / 8)
        sizes = [layer.size for layer in layers]
        assert found["bits"][place] == np.dot(sizes, row)


def test_what_a_packed_file_holds_as_floats_is_counted_so():
    graph = from_keras(networks.vgg())
    layers, coding = kernel_layers(graph), CODINGS["grids"]
    layer = max(layers, key=lambda each: each.size)
    kernel = layer.matrix(graph.params)
    cost = BitCost([layer], 0.0, coding)(np.array([[8], [9], [16]]))
    for bits, counted in zip((8, 9, 16), cost["bytes"], strict=True):
        (tensor,) = coding.fit(layer, kernel, bits, None).tensors(kernel).values()
        assert encode(tensor.dequantized())[0].num_bytes == pytest.approx(counted, rel=0.02)
    assert list(cost["bits"]) == [bits * layer.size for bits in (8, 9, 16)]


def test_the_first_and_the_last_layer_are_not_chosen_for():
    graph = from_keras(networks.vgg())
    names = [layer.name for layer in kernel_layers(graph)]
    assert [layer.name for layer in chosen_layers(graph, config())] == names[1:-1]
    everything = chosen_layers(graph, config(quantize_all_layers=True))
    assert [layer.name for layer in everything] == names
    skipping = chosen_layers(graph, config(skip_op_names=names[0]))
    assert [layer.name for layer in skipping] == names[1:-1]
    with pytest.raises(InputError, match=r"no kernel to choose for.*--nuql_quantize_all_layers"):
        chosen_layers(graph, config(skip_op_names="conv2,conv3,fc1"))


@pytest.mark.parametrize(("text", "bits"), [("bits:3", 3), ("bits:0.125", 4), ("bits:5", 5)])
def test_a_budget_of_whole_bits_is_met_by_equal_bits(text, bits):
    found, _ = problem(text)
    assert set(found.uniform()) == {bits}
    assert found.load.of(found.uniform()) == pytest.approx(1.0)
    assert {la.choices for la in found.layers} == {(2, 3, 4, 5)}


def test_bytes_are_of_the_whole_network():
    graph = from_keras(networks.vgg())
    coding, layers = CODINGS["codebooks"], kernel_layers(graph)
    numbers = sum(array.size for arrays in graph.params.values() for array in arrays.values())
    stored = 4 * (numbers - sum(layer.size for layer in layers))
    for layer, bits in zip(layers, [8, 3, 3, 3, 8], strict=True):
        kernel = layer.matrix(graph.params)
        code = coding.fit(layer, kernel, bits, None)
        stored += sum(t.payload_bits for t in code.tensors(kernel).values()) / 8
    found, _ = problem(f"bytes:{stored / (4 * numbers)!r}")
    assert found.load.targets["bytes"] == pytest.approx(stored)
    assert list(found.uniform()) == [3, 3, 3]
    assert found.measured(found.uniform())["bytes"] == pytest.approx(stored)


@pytest.mark.parametrize("text", ["bits:1.5", "bits:0.04", "bits:8", "bytes:900kB", "bytes:20B"])
def test_budgets_out_of_reach_say_the_range(text):
    message = rf"{text} cannot be met with 2 to 5 bits: .* between .* --nuql_w_bit_min"
    with pytest.raises(InputError, match=message):
        problem(text)


def sampled(layer, kernel, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(300, layer.num_rows)) @ rng.normal(size=[layer.num_rows] * 2)
    ones = np.concatenate([rows, np.ones((300, 1))], axis=1)
    return Moments.of(LayerStatistics.of_kernel(ones.T @ ones, kernel), centred=True)


@pytest.mark.parametrize("coding", CODINGS)
def test_versions_have_their_bits_and_more_bits_err_less(coding):
    layer = kernel_layers(from_keras(networks.vgg()))[1]
    kernel = layer.matrix(from_keras(networks.vgg()).params)
    moments = sampled(layer, kernel)
    method = BitMethod(CODINGS[coding], (1, 2, 3, 4))
    assert method.choices(layer, kernel) == (1, 2, 3, 4)
    errors = []
    for bits, version in method.versions(layer, kernel, moments):
        assert max(np.unique(column).size for column in version.T) <= 2**bits
        errors.append(moments.error(version))
    assert errors == sorted(errors, reverse=True)
    blind = dict(method.versions(layer, kernel, None))
    assert moments.error(blind[2]) > errors[1]


@pytest.mark.parametrize("by_moments", [True, False])
def test_tables_are_rounded_as_the_learner_rounds(by_moments):
    layer = kernel_layers(from_keras(networks.vgg()))[1]
    kernel = layer.matrix(from_keras(networks.vgg()).params)
    method = BitMethod(CODINGS["grids"], (2, 3), by_moments=by_moments)
    found = dict(method.versions(layer, kernel, sampled(layer, kernel)))
    blind = dict(method.versions(layer, kernel, None))
    assert all(np.array_equal(found[bits], blind[bits]) != by_moments for bits in (2, 3))


@pytest.mark.parametrize("rounding", ["obq", "nearest"])
def test_a_search_gives_its_tables_the_rounding(rounding, monkeypatch):
    made = []

    def tables(graph, layers, sampler, method, **options):
        made.append(method.by_moments)
        raise InputError("enough")

    monkeypatch.setattr(search, "KernelTables", tables)
    monkeypatch.setattr(search, "kernel_problem", lambda *given, **options: given[5]())
    entry = types.SimpleNamespace(quantity="bits")
    context = types.SimpleNamespace(
        budget=parse_budget("bits:3", ("bits",)), stage=types.SimpleNamespace(entry=entry)
    )
    learner = NonUniformQuantLearner.__new__(NonUniformQuantLearner)
    learner.context, learner.config = context, config(rounding=rounding)
    learner.sampler = lambda: None
    with pytest.raises(InputError, match="enough"):
        bit_problem(learner, from_keras(networks.vgg()), CODINGS["codebooks"])
    assert made == [rounding == "obq"]


def test_zeros_stay_in_every_version():
    layer = kernel_layers(from_keras(networks.vgg()))[1]
    kernel = layer.matrix(from_keras(networks.vgg()).params)
    kernel[np.random.default_rng(0).random(kernel.shape) < 0.5] = 0.0
    method = BitMethod(CODINGS["codebooks"], (2, 3))
    for moments in (None, sampled(layer, kernel)):
        for _, version in method.versions(layer, kernel, moments):
            assert not version[kernel == 0].any()


def test_wide_layers_round_in_one_order_where_bits_are_many(monkeypatch):
    orders = []

    def spy(*arguments, own_orders, **options):
        orders.append(own_orders)
        return arguments[0], None

    monkeypatch.setattr(search, "round_to_code", spy)
    layer = kernel_layers(from_keras(networks.vgg()))[1]
    kernel = layer.matrix(from_keras(networks.vgg()).params)
    list(BitMethod(CODINGS["grids"], (2, 3, 4)).versions(layer, kernel, sampled(layer, kernel)))
    assert orders == [None, None, False]


SEARCH = {
    "nb_epochs": "0",
    "nuql_use_buckets": True,
    "nuql_enbl_rl_agent": True,
    "nuql_equivalent_bits": 3,
    "nuql_w_bit_max": 4,
    "nuql_nb_rlouts": 3,
    "nuql_nb_smpls_search": 100,
    "nuql_quantize_all_layers": True,
}


@pytest.fixture(scope="module")
def small():
    """Give a network for the digits that is searched in a second."""
    keras.utils.set_random_seed(5)
    x = inputs = keras.Input((8, 8, 1))
    for number, width in enumerate((8, 12, 12), start=1):
        x = keras.layers.Conv2D(width, 3, activation="relu", name=f"conv{number}")(x)
    x = keras.layers.Dense(10, name="fc")(keras.layers.Flatten()(x))
    return keras.Model(inputs, x)


def test_a_search_meets_its_bits_and_its_setting_gives_the_same_network(small, tmp_path):
    report = compress("non-uniform", tmp_path / "found", copied(small), **SEARCH)
    (found,) = report.searches
    assert (found.agent, found.quantity, len(found.rollouts)) == ("dp", "bits", 3)
    assert set(found.uniform.setting.values()) == {3}
    chosen = getattr(found, found.kept).setting
    kernels = kernels_of(report.model)
    for kernel, bits in zip(kernels, chosen.values(), strict=True):
        columns = kernel.reshape(-1, kernel.shape[-1]).T
        assert max(np.unique(column).size for column in columns) <= 2**bits
    spent = sum(k.size * bits for k, bits in zip(kernels, chosen.values(), strict=True))
    assert 0.95 <= spent / (3 * sum(kernel.size for kernel in kernels)) <= 1.0
    (path,) = (tmp_path / "found").rglob("bits.json")
    assert json.loads(path.read_text())["values"] == chosen
    own = {name: SEARCH[name] for name in ("nuql_use_buckets", "nuql_quantize_all_layers")}
    again = compress("non-uniform", tmp_path / "again", copied(small),
                     nb_epochs="0", setting=str(path), **own)  # fmt: skip
    for one, other in zip(kernels, kernels_of(again.model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_global_tuning_only_the_kept_network_is_trained(small, tmp_path):
    values = {**SEARCH, "nuql_enbl_rl_global_tune": False, "nb_epochs": "0.09",
              "nuql_rounding": "nearest", "enbl_dst": True}  # fmt: skip
    report = compress("non-uniform", tmp_path, copied(small), **values)
    assert [point.step for point in report.training] == [2]
    (found,) = report.searches
    assert found.kept in ("winner", "uniform")
    assert {"search", "rounding"} <= set(report.seconds)
    assert sum(note.startswith("Distillation at temperature") for note in report.notes) == 1


def test_a_budget_without_a_search_gives_equal_bits_as_nearly_as_it_can(small, tmp_path):
    report = compress("non-uniform", tmp_path, copied(small), nb_epochs="0", budget="bits:2.5",
                      nuql_rounding="nearest", nuql_quantize_all_layers=True)  # fmt: skip
    bits = {row.name: row.facts["bits"] for row in report.layers if "bits" in row.facts}
    assert set(bits.values()) == {2, 3}
    sizes = [kernel.size for kernel in kernels_of(report.model)]
    assert np.dot(sizes, list(bits.values())) == pytest.approx(2.5 * sum(sizes), rel=0.05)
