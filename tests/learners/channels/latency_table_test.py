import keras
import numpy as np
import pytest

from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels import latency_table
from learners.channels.budget import channel_layers, latency_choices
from learners.channels.cost import NetworkCost
from learners.channels.groups import prunable_groups
from learners.channels.latency_table import LatencyTable
from learners.channels.measured import Measurements
from learners.search.choices import untouched
from tests.learners import networks
from utils.graph import from_keras
from utils.latency import LatencyStats


@pytest.fixture
def timed(monkeypatch):
    """Give each layer alone a time that can be computed: its multiply-adds, plus a start of 5."""
    made = []

    def convert(model, kind):
        made.append(model)
        return model

    def measure(calls, **options):
        times = {}
        for name, model in calls.items():
            kernel = max(model.weights, key=lambda weight: np.prod(weight.shape))
            positions = np.prod(model.output_shape[1:-1], initial=1.0)
            macs = 0.0 if name == "layer:nothing" else float(np.prod(kernel.shape) * positions)
            times[name] = LatencyStats(
                p50=5.0 + macs, p95=0.0, mean=0.0, n=1, block_p50=(5.0 + macs,)
            )
        return times

    monkeypatch.setattr(latency_table, "convert", convert)
    monkeypatch.setattr(latency_table, "timed_call", lambda content: content)
    monkeypatch.setattr(latency_table, "measure", measure)
    return made


def setup(model):
    graph = from_keras(model)
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    layers = channel_layers(graph, groups, [latency_choices(g.size, 4) for g in groups])
    return NetworkCost(graph, groups), layers


@pytest.mark.parametrize("name", ["vgg", "residual", "depthwise"])
def test_layers_add_up_and_groups_multiply(timed, name):
    cost, layers = setup(getattr(networks, name)())
    table = LatencyTable(cost, layers, Measurements())
    candidates = np.array([untouched(layers), [layer.choices[1] for layer in layers]])
    assert table(candidates) == pytest.approx(cost(candidates)["flops"])


def test_equal_layers_are_timed_once_and_never_again(timed):
    cost, layers = setup(networks.vgg())
    measurements = Measurements()
    LatencyTable(cost, layers, measurements)
    shapes = [str([w.shape for w in model.weights] + [model.input_shape]) for model in timed[1:]]
    assert len(shapes) == len(set(shapes))
    number = len(timed)
    LatencyTable(cost, layers, measurements)
    assert len(timed) == number


def test_more_channels_are_never_faster(timed, monkeypatch):
    cost, layers = setup(networks.vgg())
    steady = latency_table.measure
    generator = np.random.default_rng(0)

    def noisy(calls, **options):
        found = steady(calls, **options)
        return {
            key: LatencyStats(0.0, 0.0, 0.0, 1, (stats.p50 * generator.uniform(0.3, 3),))
            for key, stats in found.items()
        }

    monkeypatch.setattr(latency_table, "measure", noisy)
    table = LatencyTable(cost, layers, Measurements())
    rows = np.array([[c, 8, 12, 16] for c in range(1, 9)])
    assert np.all(np.diff(table(rows)) >= 0)


def test_real_layers_take_real_time():
    graph = from_keras(networks.vgg())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())[:1]
    layers = channel_layers(graph, groups, [(4, 8)])
    table = LatencyTable(NetworkCost(graph, groups), layers, Measurements())
    assert 0.0 < table(np.array([[8]]))[0] < 100.0


def key_of(layer):
    inputs = keras.Input((6, 4))
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    return latency_table._key(graph, graph.nodes[-1])


def test_layers_inside_others_are_told_apart():
    """Equal shapes, other times: what is inside counts, its name does not."""
    layers = keras.layers
    different = [
        layers.Bidirectional(layers.GRU(4)),
        layers.Bidirectional(layers.LSTM(4)),
        layers.Bidirectional(layers.GRU(4, unroll=True)),
        layers.Bidirectional(layers.GRU(4), backward_layer=layers.LSTM(4, go_backwards=True)),
        layers.GRU(8),
        layers.GRU(8, reset_after=False),
    ]
    assert len({key_of(layer) for layer in different}) == len(different)
    assert key_of(layers.Bidirectional(layers.GRU(4, name="other"))) == key_of(different[0])
