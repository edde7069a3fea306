import keras
import numpy as np
import pytest
from keras import layers

from tests.utils.reconstructors.sources import written
from utils.reconstructors.ops_normalization import spread
from utils.reconstructors.values import Value


def test_an_array_is_laid_out_to_meet_a_tensor():
    value = Value(handle=0, shape=(None, 5, 7, 3), dtype="float32", order=(0, 3, 1, 2))
    values = np.arange(21.0).reshape(7, 3)
    laid = spread(values, value, [2, 3])
    assert laid.shape == (1, 3, 1, 7)
    assert laid[0, 2, 0, 4] == values[4, 2]


def test_batch_norm_is_pytorchs_own_with_the_other_momentum():
    inputs = keras.Input((4, 4, 3))
    norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-4, center=False, name="norm")
    _, setup, state = written(keras.Model(inputs, norm(inputs)))
    assert "self.norm = nn.BatchNorm2d(3, eps=0.0001, momentum=0.1)" in setup
    assert state["norm.bias"].tolist() == [0.0, 0.0, 0.0]
    assert state["norm.num_batches_tracked"] == 0


def test_dropout_is_kept_for_training():
    pytest.importorskip("torch")  # the source copies a part
    inputs = keras.Input((4, 4, 3))
    x = layers.SpatialDropout2D(0.25)(layers.Dropout(0.5, name="drop")(inputs))
    lines, setup, _ = written(keras.Model(inputs, x))
    assert "self.drop = nn.Dropout(0.5)" in setup
    assert lines[1] == "x = drop(x, 0.25, (2, 3), self.training)"
