import keras
import numpy as np
import pytest

from learners.budget import parse_budget
from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.groups import budget_counts, prunable_groups, ratio_counts
from learners.channels.ratio_list import RatioList
from tests.learners import networks
from utils.errors import InputError
from utils.graph import complexity, from_keras, shrink


def names(model, **config):
    groups = prunable_groups(from_keras(model), ChannelPrunedRmtConfig(**config))
    return [group.name for group in groups]


def test_inner_leaves_streams_whole():
    assert names(networks.residual()) == ["a1", "b1"]


def test_joint_takes_streams_as_well():
    assert names(networks.residual(), residual="joint") == ["stem", "a1", "b1", "b2"]


def test_gather_lets_each_reader_of_a_stream_choose():
    assert names(networks.residual(), residual="gather") == [
        "stem@a1", "a1", "stem@b1", "b1", "stem@short", "b2@head",
    ]  # fmt: skip


def test_in_the_order_of_the_first_readers():
    assert names(networks.vgg()) == ["conv1", "conv2", "conv3", "fc1"]


@pytest.mark.parametrize(
    ("config", "left"),
    [
        ({"skip_last_layer": True}, ["conv1", "conv2", "conv3"]),
        ({"skip_op_names": "conv2"}, ["conv2", "conv3", "fc1"]),
        ({"skip_op_names": "conv3, fc1"}, ["conv1", "fc1"]),
        ({"skip_op_names": "fc"}, ["conv1", "conv2"]),
    ],
)
def test_skipped_layers_keep_their_inputs(config, left):
    assert names(networks.vgg(), **config) == left


def test_layers_inside_others_count_as_first_and_last():
    inputs = keras.Input((6, 4))
    x = keras.layers.Embedding(9, 6, name="words")(keras.ops.cast(inputs[..., 0], "int32"))
    x = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True), name="both")(x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(3), name="last")(x)
    model = keras.Model(inputs, keras.layers.Softmax()(x))
    assert names(model, skip_frst_layer=False) == ["words", "both"]
    assert names(model) == ["both"]
    assert names(model, skip_frst_layer=False, skip_last_layer=True) == ["words"]


def test_first_layer_reads_the_image_only():
    assert names(networks.vgg(), skip_frst_layer=False) == names(networks.vgg())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"skip_op_names": "conv9"},
            r"`cpr_skip_op_names`: no layer that reads channels has 'conv9' in its name. Did you",
        ),
        ({"skip_op_names": "conv,fc"}, r"vgg: no channels can be pruned: .*--cpr_skip_op_names"),
    ],
)
def test_refusals(config, message):
    with pytest.raises(InputError, match=message):
        names(networks.vgg(), **config)


def test_counts_at_a_ratio():
    groups = prunable_groups(from_keras(networks.vgg()), ChannelPrunedRmtConfig())
    counts = ratio_counts(groups, ChannelPrunedRmtConfig(prune_ratio=0.3))
    assert counts == {"conv1": 6, "conv2": 6, "conv3": 8, "fc1": 11}
    rounded = ratio_counts(groups, ChannelPrunedRmtConfig(prune_ratio=0.3, round_to=4))
    assert rounded == {"conv1": 4, "conv2": 4, "conv3": 8, "fc1": 12}


@pytest.mark.parametrize("share", [0.75, 0.5, 0.3])
def test_counts_within_a_budget(share):
    graph = from_keras(networks.vgg())
    config = ChannelPrunedRmtConfig()
    groups = prunable_groups(graph, config)
    counts = budget_counts(graph, groups, config, parse_budget(f"flops:{share}"))
    keep = {group.name: np.arange(group.size) < counts[group.name] for group in groups}
    left = complexity(shrink(graph, keep)).flops
    # A network of 8 channels has coarse steps: one channel of conv1 is a twentieth.
    assert left / complexity(graph).flops == pytest.approx(share, abs=0.03)


def listed(ratios):
    """A config that has a list of ratios, as two of the learners can."""
    config = ChannelPrunedRmtConfig(round_to=2)
    found = RatioList(ratios=ratios, source="`cp_prune_list_file`: my.list")
    object.__setattr__(config, "ratio_list", lambda: found)
    return config


def test_counts_of_a_list():
    groups = prunable_groups(from_keras(networks.vgg()), ChannelPrunedRmtConfig())
    counts = ratio_counts(groups, listed((0.5, 0.0, 0.25, 0.9)))
    assert counts == {"conv1": 4, "conv2": 8, "conv3": 8, "fc1": 2}


@pytest.mark.parametrize("number", [3, 5])
def test_a_list_for_another_network_is_refused_with_the_layers(number):
    groups = prunable_groups(from_keras(networks.vgg()), ChannelPrunedRmtConfig())
    message = (
        rf"`cp_prune_list_file`: my.list holds {number} ratios, and 4 layers of this network can "
        r"be pruned. Give one for each, in this order: conv1, conv2, conv3, fc1\."
    )
    with pytest.raises(InputError, match=message):
        ratio_counts(groups, listed((0.5,) * number))
