import keras
import numpy as np
import pytest

from learners.budget import parse_budget
from learners.live_weights import LiveWeights
from learners.setting import Setting
from learners.weight_sparsification.config import WeightSparseConfig
from learners.weight_sparsification.targets import (
    find_targets,
    in_whole_tiles,
    num_left,
    refuse_frozen,
    settled,
)
from tests.learners import networks
from utils.errors import InputError
from utils.graph import complexity, from_keras


def found(build=networks.vgg, **values):
    graph = from_keras(build())
    config = WeightSparseConfig(**values)
    return graph, config, find_targets(graph, config)


def test_the_first_convolution_and_depthwise_kernels_are_left_whole():
    _, _, targets = found(networks.depthwise)
    assert [layer.name for layer in targets.layers] == ["point2", "last", "head"]
    assert targets.whole == {
        "point1": "ws_skip_frst_layer", "depth1": "depthwise", "depth2": "depthwise",
    }  # fmt: skip


def test_a_first_dense_layer_is_no_convolution():
    inputs = keras.Input((8,))
    x = keras.layers.Dense(6, name="fc1")(inputs)
    model = networks.randomised(keras.Model(inputs, keras.layers.Dense(3, name="fc2")(x)))
    assert find_targets(from_keras(model), WeightSparseConfig()).whole == {}


def test_what_is_not_up_for_pruning_is_counted():
    graph, _, targets = found(skip_last_layer=True, skip_op_names="conv3")
    assert [layer.name for layer in targets.layers] == ["conv2", "fc1"]
    total = complexity(graph).nonzeros
    assert targets.nonzeros == total - sum(targets.sizes.values())


def test_kernels_of_nothing_but_zeros_are_no_kernels_yet():
    model = networks.vgg()
    model.get_layer("conv3").kernel.assign(np.zeros((3, 3, 8, 12)))
    targets = find_targets(from_keras(model), WeightSparseConfig())
    assert targets.whole["conv3"] == "nothing but zeros"


def test_indivisible_layers_are_refused_or_left_whole():
    with pytest.raises(InputError, match=r"does not divide 2 of 4 layers \(conv3: 12 outputs"):
        found(granularity="8x1")
    _, _, targets = found(granularity="8x1", skip_indivisible=True)
    assert [layer.name for layer in targets.layers] == ["conv2", "fc1"]
    assert targets.whole["fc2"] == "ws_skip_indivisible, 5 outputs are no multiple of 8"


def test_without_any_kernel_left_it_says_why():
    with pytest.raises(InputError, match=r"no weights can be pruned: conv1 \(ws_skip_frst_layer\)"):
        found(skip_op_names="conv2,conv3,fc")


def test_a_ratio_is_of_what_is_up_for_pruning_a_budget_of_all():
    graph, config, targets = found(prune_ratio=0.9)
    up, full = sum(targets.sizes.values()), complexity(graph).nonzeros
    assert num_left(targets, config, None, full) == up - round(0.9 * up)
    budget = parse_budget("nonzeros:0.5", ("nonzeros",))
    left = num_left(targets, config, budget, full)
    assert left + targets.nonzeros == int(0.5 * full)
    with pytest.raises(InputError, match="can keep nonzeros between"):
        num_left(targets, config, parse_budget("nonzeros:0.001", ("nonzeros",)), full)


@pytest.mark.parametrize("protocol", ["uniform", "heurist"])
@pytest.mark.parametrize("grain", ["element", "1x4"])
def test_protocols_meet_the_total_in_whole_tiles(protocol, grain):
    _, config, targets = found(prune_ratio_prtl=protocol, granularity=grain)
    left = num_left(targets, config, None, 0)
    counts = settled(targets, config, left)
    unit = config.grain.unit
    assert abs(sum(counts.values()) - left) < unit
    assert all(count % unit == 0 for count in counts.values())


def test_n_of_m_says_it_itself():
    _, config, targets = found(granularity="1:4")
    counts = settled(targets, config, 1)
    assert counts == {name: size // 4 for name, size in targets.sizes.items()}


def test_a_prune_dict_names_what_is_pruned(tmp_path):
    path = tmp_path / "dict.yaml"
    path.write_text('conv1: 0.5\n"fc*": 0.9\nconv2: 0\n', encoding="utf-8")
    _, config, targets = found(prune_dict=str(path))
    assert [layer.name for layer in targets.layers] == ["conv1", "fc1", "fc2"]
    assert set(targets.whole) == {"conv2", "conv3"}
    counts = settled(targets, config, 1)
    sizes = targets.sizes
    assert counts == {
        "conv1": sizes["conv1"] - round(0.5 * sizes["conv1"]),
        "fc1": sizes["fc1"] - round(0.9 * sizes["fc1"]),
        "fc2": sizes["fc2"] - round(0.9 * sizes["fc2"]),
    }


def test_layers_that_were_asked_to_be_left_whole_stay_so_beside_a_pattern(tmp_path):
    path = tmp_path / "dict.yaml"
    path.write_text('"*": 0.5\n', encoding="utf-8")
    options = {"prune_dict": str(path), "skip_last_layer": True, "skip_op_names": "conv3"}
    _, config, targets = found(**options)
    assert [layer.name for layer in targets.layers] == ["conv1", "conv2", "fc1"]
    assert targets.whole == {"conv3": "ws_skip_op_names", "fc2": "ws_skip_last_layer"}
    assert set(settled(targets, config, 1)) == {"conv1", "conv2", "fc1"}


def test_a_setting_of_single_weights_is_none_of_tiles():
    _, config, targets = found(granularity="1x4")
    setting = Setting(quantity="sparsity", network=targets.sizes, values=targets.sizes, path="s")
    assert in_whole_tiles(setting, targets, config.grain) == targets.sizes
    values = {**targets.sizes, "fc1": 3}
    setting = Setting(quantity="sparsity", network=targets.sizes, values=values, path="s.json")
    with pytest.raises(InputError, match=r"s\.json keeps 3 weights of 'fc1', .* `ws_gran.* 1x4"):
        in_whole_tiles(setting, targets, config.grain)


def test_where_gradients_decide_frozen_kernels_are_refused():
    model = networks.vgg()
    targets = find_targets(from_keras(model), WeightSparseConfig())
    refuse_frozen(LiveWeights(model), targets, "`ws_criterion` gradient")
    model.get_layer("fc1").trainable = False
    with pytest.raises(InputError, match=r"gradient goes by gradients, and fc1 are frozen"):
        refuse_frozen(LiveWeights(model), targets, "`ws_criterion` gradient")


def test_a_prune_dict_of_another_network_is_refused(tmp_path):
    path = tmp_path / "dict.yaml"
    path.write_text("cnov2: 0.5\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"'cnov2'.*Did you mean 'conv2'"):
        found(prune_dict=str(path))
