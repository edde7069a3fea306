import re

import keras
import numpy as np
import pytest

from learners.budget import parse_budget
from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.budget import (
    ChannelBudget,
    channel_layers,
    count_choices,
    cycles_predictor,
    latency_choices,
)
from learners.channels.cost import NetworkCost
from learners.channels.groups import channel_budget, prunable_groups
from learners.channels.measured import MeasuredCost
from learners.search.choices import smallest, untouched
from tests.learners import networks
from utils.errors import InputError
from utils.export.tflite import convert
from utils.graph import complexity, from_keras, to_keras


def wide():
    """Three groups of 32 channels: their counts have steps finer than the tolerance."""
    x = inputs = keras.Input((8, 8, 3))
    for name in ("conv1", "conv2", "conv3"):
        x = networks.conv(x, 32, name)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def make(text, build=networks.vgg, **options):
    graph = from_keras(build())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    return ChannelBudget(graph, groups, parse_budget(text), **options)


def test_choices_are_multiples_and_the_whole():
    assert count_choices(8, 1) == tuple(range(1, 9))
    assert count_choices(12, 8) == (8, 12)
    assert latency_choices(32, 16) == (4, 8, 16, 24, 32)
    assert latency_choices(1, 16) == (1,)


def test_layers_have_their_readers_shape_and_parameters():
    graph = from_keras(networks.vgg())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    layers = channel_layers(graph, groups, [count_choices(g.size, 1) for g in groups])
    assert layers[0].name == "conv1"
    assert layers[0].shape == (3, 3, 8, 8)
    assert layers[0].num_params == 576


@pytest.mark.parametrize("text", ["flops:0.5", "params:0.4", "flops:0.6,params:0.4"])
def test_uniform_candidates_meet_what_is_counted(text):
    budget = make(text)
    values = budget.uniform()
    assert 0.98 <= budget.load.of(values) <= 1.0
    assert np.array_equal(budget.refined(values), values)
    assert budget.remarks(values) == []
    assert budget.by_name(values).keys() == {"conv1", "conv2", "conv3", "fc1"}


def test_round_counts_near_the_budget_are_preferred_and_set_its_size():
    exact = make("flops:0.5", build=wide)
    (full,) = exact.cost(untouched(exact.layers)[None])["flops"]
    (round_counts,) = exact.cost(untouched(exact.layers)[None] // 2)["flops"]
    for share, inside in ((0.985, True), (1.015, True), (1.04, False), (0.96, False)):
        budget = make(f"flops:{round_counts / full / share:.6f}", build=wide)
        values = budget.uniform()
        assert np.array_equal(values, [16, 16, 16]) == inside
        assert budget.load.of(values) <= 1.0
        if inside:
            assert budget.load.of(values) == pytest.approx(min(share, 1.0), abs=1e-4)
        assert budget.remarks(values) == []


def test_bytes_are_met_by_the_exported_file():
    budget = make("bytes:0.6")
    values = budget.refined(budget.uniform())
    whole, small = (
        len(convert(to_keras(budget.cost._counted.cut(v)), "float32"))
        for v in (untouched(budget.layers), values)
    )
    assert small / whole == pytest.approx(0.6, rel=0.02)
    assert budget.measured(values)["bytes"] == small


def test_a_budget_out_of_reach_says_the_range_and_which_flags_help():
    message = (
        r"flops:0.001 cannot be met: .* flops between 0\.0.* let more be cut: fewer --dcp_skip"
    )
    with pytest.raises(InputError, match=message):
        make("flops:0.001", prefix="dcp_")


@pytest.mark.parametrize("kind", ["flops", "params"])
def test_what_cutting_streams_too_would_reach_can_be_asked_for(kind):
    graph, config = from_keras(networks.residual()), ChannelPrunedRmtConfig(residual="inner")
    with pytest.raises(InputError) as told:
        channel_budget(graph, prunable_groups(graph, config), config, parse_budget(f"{kind}:0.001"))
    found = re.search(rf"--cpr_residual=joint, which reaches ({kind}:0\.\d+) \(", str(told.value))
    assert found is not None
    joint = ChannelPrunedRmtConfig(residual="joint")
    groups = prunable_groups(graph, joint)
    reached = channel_budget(graph, groups, joint, parse_budget(found[1]))
    assert reached.measured(smallest(reached.layers))[kind] <= reached.load.targets[kind] * 1.001
    with pytest.raises(InputError) as told:
        channel_budget(graph, groups, joint, parse_budget(f"{kind}:0.001"))
    assert "residual=joint" not in str(told.value)


def test_streams_that_are_not_there_are_not_advised():
    graph, config = from_keras(networks.vgg()), ChannelPrunedRmtConfig(residual="inner")
    with pytest.raises(InputError, match="cannot be met") as told:
        channel_budget(graph, prunable_groups(graph, config), config, parse_budget("flops:0.001"))
    assert "residual=joint" not in str(told.value)


def test_the_nearest_reachable_point_is_stated():
    budget = make("flops:0.6", round_to=5)
    values = budget.uniform()
    load = budget.load.of(values)
    assert abs(load - 1) > 0.02
    assert budget.remarks(values, floor=0.0) == []  # below is welcome there
    (remark,) = budget.remarks(values)
    assert remark.startswith("budget flops:0.6: the nearest that whole numbers of channels reach")
    assert f"({100 * (load - 1):+.1f} %)" in remark


class Drifting(MeasuredCost):
    """Predicts the multiply-adds as `latency`; real files take 20 % more, and small ones less."""

    def __init__(self, counted):
        self._counted = counted
        self._kinds = ("latency",)
        self._lines = {"latency": (1.0, 0.0)}
        self._predictors = {"latency": lambda values: counted(values)["flops"]}
        self._offsets = {"latency": 0.0}
        self.measured = []

    def measure(self, values):
        self.measured.append(tuple(values))
        flops = float(self._counted(values[None])["flops"][0])
        return {"flops": flops, "latency": 1.2 * flops - 500.0}


def drifting(monkeypatch, text="latency:0.6"):
    monkeypatch.setattr(
        "learners.channels.budget.cost_model", lambda counted, *_: Drifting(counted)
    )
    return make(text, round_to=2)


def test_predictions_that_are_wrong_are_corrected(monkeypatch):
    budget = drifting(monkeypatch)
    values = budget.uniform()
    target = budget.load.targets["latency"]
    assert budget.cost.measure(values)["latency"] > 1.1 * target
    values = budget.refined(values)
    assert budget.cost.measure(values)["latency"] == pytest.approx(target, rel=0.05)
    assert len(budget.cost.measured) <= 8
    assert budget.remarks(values) == []


def test_below_the_budget_is_welcome_without_a_floor(monkeypatch):
    budget = drifting(monkeypatch)
    least = smallest(budget.layers)
    assert np.array_equal(budget.refined(least, floor=0.0), least)


def test_cycles_are_those_of_what_takes_longer():
    """Layer by layer: multiply-adds at 32 in a cycle, or weights at one byte in a cycle."""
    graph = from_keras(networks.vgg())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    cost = NetworkCost(graph, groups)
    full = np.array([group.size for group in groups])
    candidates = np.array([full, full // 2, np.maximum(full // 3, 1)])
    expected = []
    for row in candidates:
        cut = cost.cut(row)
        cycles = 0.0
        for layer in complexity(cut).rows:
            arrays = cut.params.get(layer.name, {}).values()
            kernels = [array.size for array in arrays if array.ndim > 1]
            cycles += sum(array.size for array in arrays if array.ndim == 1)
            cycles += sum(max(layer.flops / 32, size) for size in kernels)
        expected.append(cycles)
    found = cycles_predictor(cost, "ethos-u55-32")(candidates)
    np.testing.assert_allclose(found, expected)
    assert found[0] > found[1] > found[2]
