import numpy as np
import pytest

from datasets.config import DataConfig
from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.cost import STORED, NetworkCost
from learners.channels.groups import prunable_groups
from nets import load_helper_class
from tests.learners import networks
from utils.graph import complexity, from_keras

HELPERS = {
    "digits": ("convnet_at_digits", {}),
    "resnet20": ("resnet_at_cifar10", {}),
    "mobilenet_v1": ("mobilenet_at_cifar10", {"mobilenet_depth_mult": 0.25}),
    "mobilenet_v2": (
        "mobilenet_at_cifar10",
        {"mobilenet_version": 2, "mobilenet_depth_mult": 0.25},
    ),
    "mobilenet_v3": ("mobilenet_at_cifar10", {"mobilenet_version": 3}),
}


def helper_model(name, monkeypatch):
    helper_name, options = HELPERS[name]
    helper_class = load_helper_class(helper_name)
    helper = helper_class(helper_class.config_class(data=DataConfig(), **options))
    if "cifar10" in helper_name:  # the network alone, without its data
        helper.__dict__["input_shape"] = (32, 32, 3)
    return helper.build_model()


def network(name, monkeypatch):
    return helper_model(name, monkeypatch) if name in HELPERS else getattr(networks, name)()


@pytest.mark.parametrize("residual", ["inner", "joint", "gather"])
@pytest.mark.parametrize(
    "name",
    [*HELPERS, "residual", "vgg", "depthwise", "concat", "transposed", "recurrent"],
)
def test_counting_equals_cutting(name, residual, monkeypatch):
    graph = from_keras(network(name, monkeypatch))
    groups = prunable_groups(graph, ChannelPrunedRmtConfig(residual=residual))
    cost = NetworkCost(graph, groups)
    generator = np.random.default_rng(0)
    sizes = np.array([group.size for group in groups])
    candidates = np.array(
        [sizes, np.ones_like(sizes), *generator.integers(1, sizes + 1, (3, len(sizes)))]
    )
    counted = cost(candidates)
    for row, flops, params in zip(candidates, counted["flops"], counted["params"], strict=True):
        assert cost.reference(row) == {
            "flops": pytest.approx(flops),
            "params": pytest.approx(params),
        }
    assert counted["flops"][0] == complexity(graph).flops


def test_it_is_counted_and_not_cut(monkeypatch):
    graph = from_keras(networks.residual())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    cost = NetworkCost(graph, groups)
    monkeypatch.setattr(cost, "cut", None)
    assert cost(np.array([[1] * len(groups)]))["flops"].shape == (1,)


def test_what_cannot_be_counted_is_cut(monkeypatch):
    graph = from_keras(networks.residual())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    monkeypatch.setattr(NetworkCost, "_uses", staticmethod(lambda *args: 1.0))
    cost = NetworkCost(graph, groups)
    values = np.array([group.size // 2 for group in groups])
    assert cost(values[None])["flops"][0] == cost.reference(values)["flops"]


def test_batch_norm_is_stored_as_one_bias():
    graph = from_keras(networks.depthwise())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    full = np.array([[group.size for group in groups]])
    kernels = sum(a.size for p in graph.params.values() for a in p.values() if a.ndim > 1)
    biases = sum(max(a.size for a in p.values() if a.ndim == 1) for p in graph.params.values()
                 if any(a.ndim == 1 for a in p.values()))  # fmt: skip
    assert NetworkCost(graph, groups)(full)[STORED][0] == pytest.approx(kernels + biases)


def test_owners_are_the_groups_that_a_layer_touches():
    graph = from_keras(networks.vgg())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    cost = NetworkCost(graph, groups)
    names = [groups[number].name for number in cost.owners("conv2")]
    assert names == ["conv1", "conv2"]
