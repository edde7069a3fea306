"""Tensors inside a network beside its outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.utils.training.conftest import batches, network
from utils.training.inner import with_layers


def test_maps_come_from_the_same_pass() -> None:
    model = network()
    images, _ = next(iter(batches()))
    outputs, (relu, dropped) = with_layers(model, ("relu", "dropout"))(images, training=True)
    kept = np.reshape(dropped, (len(images), -1))
    np.testing.assert_allclose(outputs, model.get_layer("dense")(kept), rtol=1e-5)
    assert np.sum(kept == 0) - np.sum(np.asarray(relu) == 0) > 0  # by Dropout, in that pass


def test_a_layer_with_several_outputs() -> None:
    inputs = keras.Input((5, 2))
    outputs = keras.layers.LSTM(3, return_state=True, name="lstm")(inputs)
    model = keras.Model(inputs, outputs[0])
    _, (found,) = with_layers(model, ("lstm",))(np.ones((2, 5, 2), "float32"))
    assert [tuple(tensor.shape) for tensor in found] == [(2, 3)] * 3


def test_layers_that_cannot_be_named() -> None:
    with pytest.raises(
        ValueError,
        match=r"layer 'nowhere': network 'small' has none\. It can be one of: conv, norm",
    ):
        with_layers(network(), ("conv", "nowhere"))
    inputs, dense = keras.Input((4,)), keras.layers.Dense(4, name="dense")
    model = keras.Model(inputs, dense(dense(inputs)), name="twice")
    with pytest.raises(ValueError, match="'dense': network 'twice' calls it 2 times"):
        with_layers(model, ("dense",))
