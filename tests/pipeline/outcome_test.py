import dataclasses

import keras
import pytest

from learners.base import Trained
from pipeline.outcome import Outcome


def network():
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Dense(1)(inputs))


def test_what_the_stages_left():
    before, plain, deployed = network(), network(), network()
    outcome = Outcome(before, Trained(plain, deployed), ())
    assert (outcome.before, outcome.after.model, outcome.after.deployed) == (
        before,
        plain,
        deployed,
    )
    assert Trained(plain).deployed is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        outcome.before = plain
