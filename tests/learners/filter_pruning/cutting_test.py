import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.filter_pruning.config import FilterPrunedConfig
from learners.filter_pruning.course import Cut
from learners.filter_pruning.cutting import FilterCutting
from tests.learners import networks
from utils.graph import from_keras, to_keras

IMAGES = networks.images(32)
LABELS = np.arange(32, dtype=np.int32) % 5


class Helper:
    """What the criteria look at."""

    scores_classes = True

    @staticmethod
    def build_dataset_calibration(nb_smpls):
        return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).take(nb_smpls).batch(8)

    @staticmethod
    def calc_loss(labels, outputs, variables):
        loss = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
        return tf.reduce_mean(loss), {}


def cutting(seed=0):
    config = FilterPrunedConfig(nb_smpls=32, nb_crops_per_smpl=4)
    return FilterCutting(Helper(), config, seed=seed, allow_unsafe=False)


@pytest.fixture(scope="module")
def graph():
    return from_keras(networks.residual())


def sizes(graph):
    model = to_keras(graph)
    return {name: model.get_layer(name).filters for name in ("stem", "a1", "b1", "b2", "short")}


@pytest.mark.parametrize("criterion", ["l1_norm", "taylor", "obs", "random"])
def test_streams_and_inner_groups_are_cut_to_the_counts(graph, criterion):
    done = cutting()
    small = done.without(graph, [Cut(criterion, {"a1": 3, "b2": 7})])
    assert sizes(small) == {"stem": 8, "a1": 3, "b1": 12, "b2": 7, "short": 7}
    assert bool(done.errors) == (criterion == "obs")


def test_criteria_side_by_side(graph):
    cuts = [Cut("l2_norm", {"a1": 4}), Cut("obs", {"b1": 5}), Cut("bn_gamma", {"stem": 6})]
    assert sizes(cutting().without(graph, cuts)) == {
        "stem": 6, "a1": 4, "b1": 5, "b2": 12, "short": 12,
    }  # fmt: skip


def test_the_lowest_of_all_writers_go(graph):
    small = cutting().without(graph, [Cut("l1_norm", {"b2": 5})])
    norms = sum(np.abs(graph.params[n]["kernel"]).sum(axis=(0, 1, 2)) for n in ("b2", "short"))
    kept = np.sort(np.argsort(norms)[-5:])
    for name in ("b2", "short"):
        np.testing.assert_array_equal(
            small.params[name]["kernel"], graph.params[name]["kernel"][..., kept]
        )


def test_what_is_narrow_enough_stays(graph):
    small = cutting().without(graph, [Cut("l1_norm", {"a1": 8, "b1": 12})])
    assert sizes(small) == sizes(graph)


def test_the_seed_rules_the_control(graph):
    def kernel(seed):
        return cutting(seed).without(graph, [Cut("random", {"a1": 4})]).params["a1"]["kernel"]

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))
