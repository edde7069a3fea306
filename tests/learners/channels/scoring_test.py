import numpy as np
import pytest
import tensorflow as tf

from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.groups import prunable_groups
from learners.channels.scoring import ChannelScorer
from learners.channels.segments import cut
from learners.channels.tables import ChannelTables
from learners.reconstruction.sampling import Sampler
from learners.search.scoring import BriefTuning, NetworkScorer
from tests.learners import networks
from tests.learners.search.tiny import TinyHelper
from utils.graph import from_keras, to_keras


def make_scorer(model, residual="inner"):
    graph = from_keras(model)
    groups = prunable_groups(graph, ChannelPrunedRmtConfig(residual=residual))
    sampler = Sampler([networks.images()], num_images=48, num_positions=16, seed=0)
    found = ChannelTables(graph, groups, sampler)
    helper = TinyHelper()
    network = NetworkScorer(graph, helper, helper.build_dataset_train().take(4))
    return graph, groups, found, ChannelScorer(graph, groups, found, network)


@pytest.mark.parametrize("residual", ["inner", "joint"])
@pytest.mark.parametrize(
    "name", ["residual", "vgg", "depthwise", "concat", "transposed", "recurrent"]
)
def test_what_is_scored_computes_what_the_cut_network_would(name, residual):
    graph, groups, found, scorer = make_scorer(getattr(networks, name)(), residual)
    counts = {group.name: max(1, group.size // 2) for group in groups}
    scorer(counts)
    refitted = from_keras(scorer.network.model)
    keep = {group.name: found.mask(group.name, counts[group.name]) for group in groups}
    small = to_keras(cut(refitted, groups, keep))
    images = networks.images(8)
    whole, less = scorer.network.model(images).numpy(), small(images).numpy()
    assert np.abs(whole - less).max() <= 1e-4 * np.abs(whole).max()
    assert small.count_params() < scorer.network.model.count_params()


def test_the_whole_network_scores_as_it_is():
    model = networks.residual()
    graph, groups, _, scorer = make_scorer(model)
    scorer({group.name: 1 for group in groups})
    scorer({group.name: group.size for group in groups})
    for before, after in zip(model.get_weights(), scorer.network.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_score_does_not_depend_on_those_before():
    _, groups, _, scorer = make_scorer(networks.residual())
    half = {group.name: group.size // 2 for group in groups}
    first = scorer(half)
    scorer({group.name: 1 for group in groups})
    assert scorer(half) == first


def test_scores_have_no_weight_decay():
    _, groups, _, scorer = make_scorer(networks.residual())
    score = scorer({group.name: group.size for group in groups})
    outputs = scorer.network.model(networks.images(64)).numpy()
    logits = outputs - outputs.max(axis=1, keepdims=True)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.arange(64) % 5
    assert score.loss == pytest.approx(-np.log(chances[np.arange(64), labels]).mean(), rel=1e-4)
    assert score.accuracy == pytest.approx((outputs.argmax(axis=1) == labels).mean())


def test_batch_norm_can_be_taken_anew():
    _, groups, _, scorer = make_scorer(networks.residual())
    half = {group.name: group.size // 2 for group in groups}
    plain = scorer(half)
    scorer.network.estimate_batch_norm(
        tf.data.Dataset.from_tensor_slices(networks.images(64)).batch(64)
    )
    anew = scorer(half)
    assert anew != plain
    scorer({group.name: 1 for group in groups})
    assert scorer(half) == anew


@pytest.mark.parametrize("name", ["residual", "recurrent"])
def test_brief_tuning_helps_keeps_zeros_and_leaves_nothing_behind(name):
    graph, groups, found, scorer = make_scorer(getattr(networks, name)())
    half = {group.name: group.size // 2 for group in groups}
    plain = scorer(half)
    scorer.network.tune(BriefTuning(scorer.network.model, TinyHelper(), 40, lrn_rate=0.05))
    tuned = scorer(half)
    assert tuned.loss < plain.loss
    for key, kept in scorer.masks(half).items():
        assert not kept.all()
        assert not np.array(scorer.network._weights[key])[~kept].any()
    scorer({group.name: 1 for group in groups})
    assert scorer(half).loss == pytest.approx(tuned.loss, rel=1e-5)
