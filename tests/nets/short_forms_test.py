"""Short and older forms of helpers mean the same as the full one."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from nets.abstract_model_helper import AbstractModelHelper
from tests.nets.abstract_model_helper_test import IMAGES, LABELS, Tiny, helper, labels_of
from utils.errors import InputError


def test_short_training_builder_gets_the_full_signature():
    dataset = helper().build_dataset_train(first_step=3)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    assert labels_of(dataset, 4) == [*LABELS[12:], *LABELS[:8]]
    assert helper().nb_smpls_train == 20
    assert helper().steps_per_epoch == 5


def test_helper_without_split_refuses_it():
    with pytest.raises(InputError, match=r"Tiny.build_dataset_train cannot hold out validation"):
        helper().build_dataset_train(True)


def test_builder_with_split_only():
    class Split(Tiny):
        def build_dataset_train(self, enbl_trn_val_split=False):
            data = Tiny.build_dataset_eval(self)
            return (data.skip(1), data.take(1)) if enbl_trn_val_split else data

    training, validation = helper(Split).build_dataset_train(True, first_step=1)
    assert training.cardinality() == tf.data.INFINITE_CARDINALITY
    assert labels_of(training, 1) == LABELS[16:].tolist()
    assert labels_of(validation, 9) == LABELS[:8].tolist()


def test_short_schedule_obeys_absolute_epochs():
    class Own(Tiny):
        def setup_lrn_rate(self):
            return 0.5, 1000

    assert helper(Own).setup_lrn_rate() == (0.5, 1000)
    assert helper(Own).setup_lrn_rate(nb_epochs=2) == (0.5, 10)


class Legacy(Tiny):
    forward = AbstractModelHelper.forward

    def forward_fn(self, inputs, is_train):
        x = layers.Conv2D(4, 3, name="conv")(inputs)
        x = layers.BatchNormalization(name="bn")(x, training=is_train)
        if is_train:
            x = layers.Dropout(0.5, name="drop")(x, training=True)
        return layers.Dense(3)(layers.Flatten()(x))

    def forward_train(self, inputs, data_format="channels_last"):
        assert data_format == "channels_last"
        return self.forward_fn(inputs, is_train=True)

    def forward_eval(self, inputs, data_format="channels_last"):
        return self.forward_fn(inputs, is_train=False)


def test_older_pair_of_forwards():
    model = helper(Legacy).build_model()
    assert [layer.name for layer in model.layers][:4] == ["images", "conv", "bn", "drop"]
    plain, again = model(IMAGES), model(IMAGES)
    assert np.array_equal(plain, again)  # no dropout, moving statistics: evaluation
    assert np.array_equal(plain, model(IMAGES, training=False))
    before = np.array(model.get_layer("bn").moving_mean)
    assert not np.allclose(plain, model(IMAGES, training=True))
    assert not np.array_equal(before, model.get_layer("bn").moving_mean)


def test_older_pair_around_statistics_of_the_data():
    """The network without fixed `training` is a copy: it forgets nothing and draws nothing."""
    statistics = layers.Normalization(name="statistics")
    statistics.adapt(IMAGES)
    made = []

    class Adapted(Tiny):
        def forward_train(self, inputs):
            x = layers.BatchNormalization(name="bn")(statistics(inputs), training=True)
            made.append(layers.Dense(3, name="fc"))
            return made[-1](layers.Flatten()(x))

        forward = AbstractModelHelper.forward

    model = helper(Adapted).build_model()
    x = (IMAGES - IMAGES.mean()) / IMAGES.std() / np.sqrt(1.001)
    expected = x.reshape(20, -1) @ np.asarray(made[0].kernel)
    np.testing.assert_allclose(model(IMAGES), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("first_step", [0, 3])
def test_short_builders_are_divided_among_workers(first_step):
    """Step s of worker r is batch s n + r of one worker's."""
    whole = list(helper().build_dataset_train().take(20).as_numpy_iterator())
    for rank in range(2):
        one = helper()
        one.worker = (rank, 2)
        own = one.build_dataset_train(first_step=first_step).take(4).as_numpy_iterator()
        for step, (images, labels) in enumerate(own, start=first_step):
            np.testing.assert_array_equal(images, whole[2 * step + rank][0])
            np.testing.assert_array_equal(labels, whole[2 * step + rank][1])
        assert one.steps_per_epoch == 2  # of 5 batches
        assert one.nb_smpls_train == 20
