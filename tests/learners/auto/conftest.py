"""A small network, its images, tables of what its parts cost, and hand-made ones without a walk."""

import keras
import numpy as np
import pytest
from keras import layers

from learners.auto.offers import make_offer
from learners.auto.places import Places, find_places
from learners.auto.tables import Tables, measure
from learners.reconstruction.sampling import Sampler
from tests.learners.networks import IMAGE_SHAPE, conv, images, randomised
from utils.graph import from_keras


def small() -> keras.Model:
    """Two convolutions and a dense layer behind them."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv(conv(inputs, 8, "one"), 8, "two")
    x = layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(4, name="head")(x), name="small"))


@pytest.fixture(scope="session")
def model() -> keras.Model:
    return small()


@pytest.fixture(scope="session")
def places(model: keras.Model) -> Places:
    return find_places(from_keras(model), residual="inner", skip_op_names=None)


@pytest.fixture(scope="session")
def sampler() -> Sampler:
    return Sampler([images(64)], num_images=64, num_positions=12, seed=0)


@pytest.fixture(scope="session")
def tables(places: Places, sampler: Sampler) -> Tables:
    return measure(places, make_offer([], None), sampler)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)
