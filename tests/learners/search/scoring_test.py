import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.search.scoring import BriefTuning, NetworkScorer, held_out_images
from nets.convnet_at_digits import ModelHelper
from tests.learners import networks
from tests.learners.search.tiny import TinyHelper
from utils.graph import from_keras


def make_scorer(num_images=64):
    helper, graph = TinyHelper(), from_keras(networks.residual())
    return NetworkScorer(graph, helper, helper.build_dataset_train().take(num_images // 16))


def kernels(scorer):
    """Every kernel's key and value."""
    return {key: value for key, value in scorer.original.items() if key[1] == "kernel"}


def test_a_score_is_that_of_plain_keras_with_these_weights():
    scorer = make_scorer()
    key, kernel = next(iter(kernels(scorer).items()))
    score = scorer.score({key: 0.5 * kernel})
    copy = networks.residual()
    for own, other in zip(copy.weights, networks.residual().weights, strict=True):
        own.assign(other)
    copy.get_layer(key[0]).kernel.assign(0.5 * kernel)
    labels = np.arange(64) % 5
    outputs = copy.predict(networks.images(64), verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, outputs)
    assert score.loss == pytest.approx(float(loss), rel=1e-5)
    assert score.accuracy == pytest.approx((outputs.argmax(axis=1) == labels).mean())


def test_what_is_not_replaced_is_as_it_was():
    scorer = make_scorer()
    first, second = list(kernels(scorer))[:2]
    whole = scorer.score({})
    scorer.score({first: np.zeros_like(scorer.original[first])})
    alone = scorer.score({second: 0.5 * scorer.original[second]})
    fresh = make_scorer().score({second: 0.5 * scorer.original[second]})
    assert alone == fresh != whole
    assert scorer.score({}) == whole


def test_what_is_masked_stays_while_the_rest_is_tuned():
    scorer = make_scorer()
    key, kernel = list(kernels(scorer).items())[1]
    mask = np.arange(kernel.size).reshape(kernel.shape) % 2 == 0
    scorer.tune(BriefTuning(scorer.model, TinyHelper(), 4, lrn_rate=0.05))
    asked = []

    def masks():
        asked.append(key)
        return {key: mask}

    scorer.score({key: kernel * mask}, masks)
    tuned = np.array(scorer.model.get_layer(key[0]).kernel)
    assert not tuned[~mask].any()
    assert np.abs(tuned - kernel)[mask].min() > 0
    scorer.score({}, masks)
    assert asked == [key, key]


def test_masks_are_asked_for_only_where_something_is_tuned():
    def masks():
        raise AssertionError("nobody tunes")

    scorer = make_scorer()
    scorer.estimate_batch_norm(tf.data.Dataset.from_tensor_slices(networks.images(64)).batch(64))
    assert np.isfinite(scorer.score({}, masks).loss)


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
