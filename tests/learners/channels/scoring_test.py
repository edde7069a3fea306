import numpy as np
import pytest
import tensorflow as tf

from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.groups import prunable_groups
from learners.channels.scoring import BriefTuning, ChannelScorer, held_out_images
from learners.channels.segments import cut
from learners.channels.tables import ChannelTables
from learners.reconstruction.sampling import Sampler
from nets.abstract_model_helper import AbstractModelHelper
from nets.convnet_at_digits import ModelHelper
from tests.learners import networks
from utils.graph import from_keras, to_keras


class TinyHelper(AbstractModelHelper):
    """Random images; cannot hold any out."""

    def build_dataset_train(self):
        images = networks.images(64)
        labels = np.arange(64) % 5
        return tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)

    def build_dataset_eval(self):
        return self.build_dataset_train().take(1)

    def calc_loss(self, labels, outputs, trainable_vars):
        if len(outputs.shape) == 4:  # of the network that gives a map
            outputs = tf.reduce_mean(outputs, axis=(1, 2))
            labels = labels % outputs.shape[-1]
        return super().calc_loss(labels, outputs, trainable_vars)


def make_scorer(model, residual="inner"):
    graph = from_keras(model)
    groups = prunable_groups(graph, ChannelPrunedRmtConfig(residual=residual))
    sampler = Sampler([networks.images()], num_images=48, num_positions=16, seed=0)
    found = ChannelTables(graph, groups, sampler)
    helper = TinyHelper()
    images = helper.build_dataset_train().take(4)
    return graph, groups, found, ChannelScorer(graph, groups, found, helper, images)


@pytest.mark.parametrize("residual", ["inner", "joint"])
@pytest.mark.parametrize(
    "name", ["residual", "vgg", "depthwise", "concat", "transposed", "recurrent"]
)
def test_what_is_scored_computes_what_the_cut_network_would(name, residual):
    graph, groups, found, scorer = make_scorer(getattr(networks, name)(), residual)
    counts = {group.name: max(1, group.size // 2) for group in groups}
    scorer(counts)
    refitted = from_keras(scorer.model)
    keep = {group.name: found.mask(group.name, counts[group.name]) for group in groups}
    small = to_keras(cut(refitted, groups, keep))
    images = networks.images(8)
    whole, less = scorer.model(images).numpy(), small(images).numpy()
    assert np.abs(whole - less).max() <= 1e-4 * np.abs(whole).max()
    assert small.count_params() < scorer.model.count_params()


def test_the_whole_network_scores_as_it_is():
    model = networks.residual()
    graph, groups, _, scorer = make_scorer(model)
    scorer({group.name: 1 for group in groups})
    scorer({group.name: group.size for group in groups})
    for before, after in zip(model.get_weights(), scorer.model.get_weights(), strict=True):
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
    outputs = scorer.model(networks.images(64)).numpy()
    logits = outputs - outputs.max(axis=1, keepdims=True)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.arange(64) % 5
    assert score.loss == pytest.approx(-np.log(chances[np.arange(64), labels]).mean(), rel=1e-4)
    assert score.accuracy == pytest.approx((outputs.argmax(axis=1) == labels).mean())


def test_batch_norm_can_be_taken_anew():
    _, groups, _, scorer = make_scorer(networks.residual())
    half = {group.name: group.size // 2 for group in groups}
    plain = scorer(half)
    scorer.estimate_batch_norm(tf.data.Dataset.from_tensor_slices(networks.images(64)).batch(64))
    anew = scorer(half)
    assert anew != plain
    scorer({group.name: 1 for group in groups})
    assert scorer(half) == anew


@pytest.mark.parametrize("name", ["residual", "recurrent"])
def test_brief_tuning_helps_keeps_zeros_and_leaves_nothing_behind(name):
    graph, groups, found, scorer = make_scorer(getattr(networks, name)())
    half = {group.name: group.size // 2 for group in groups}
    plain = scorer(half)
    scorer.tune(BriefTuning(scorer, TinyHelper(), 40, lrn_rate=0.05))
    tuned = scorer(half)
    assert tuned.loss < plain.loss
    for key, (rows, axis) in scorer._dead_rows(half).items():
        assert not np.moveaxis(np.array(scorer._weights[key]), axis, 0)[rows].any()
    scorer({group.name: 1 for group in groups})
    assert scorer(half).loss == pytest.approx(tuned.loss, rel=1e-5)


def test_held_out_images_are_not_those_of_training():
    helper = ModelHelper()
    images, held_out = held_out_images(helper, 50, 100)
    assert held_out
    found = np.concatenate([batch[0] for batch in images.as_numpy_iterator()])
    assert len(found) == 50
    training = helper.build_dataset_train(enbl_trn_val_split=True)[0].take(helper.steps_per_epoch)
    seen = {image.tobytes() for batch, _ in training.as_numpy_iterator() for image in batch}
    assert not any(image.tobytes() in seen for image in found)


def test_the_last_comparison_has_images_that_no_roll_out_saw():
    class Halving(TinyHelper):
        def build_dataset_train(self, enbl_trn_val_split=False, first_step=0):
            numbers = tf.range(600)[:, None, None, None] * tf.ones((1, 8, 8, 3), tf.int32)
            images = tf.data.Dataset.from_tensor_slices((numbers, tf.zeros(600, tf.int32)))
            return images.batch(64), images.batch(64)

    def numbers(num_search, final):
        images, held_out = held_out_images(Halving(), num_search, 100, final=final)
        assert held_out
        return [int(x[0, 0, 0]) for batch, _ in images.as_numpy_iterator() for x in batch]

    assert numbers(200, False) == list(range(200))
    assert numbers(200, True) == list(range(200, 600))
    assert numbers(400, True) == list(range(600))  # too few are left


def test_a_helper_that_holds_nothing_out_gives_others_than_the_tables_saw():
    images, held_out = held_out_images(TinyHelper(), 10, 40)
    assert not held_out
    found = np.concatenate([batch[0] for batch in images.as_numpy_iterator()])
    np.testing.assert_array_equal(found, networks.images(64)[40:50])
