"""Networks compared; the whole table is in quantize_model_test.py."""

import keras
import numpy as np

from tools.conversion.strategy_table import Evaluation, scored


def test_figures_are_those_of_the_outputs() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs))
    values = np.eye(3, dtype=np.float32)
    data = Evaluation(inputs=[values[:2], values[2:]], labels=np.array([0, 1, 0]), count=3)
    row = scored("swapped", data, model, lambda batch: batch[:, [0, 2, 1]])
    assert (row.float_accuracy, row.accuracy, row.agreement) == (2 / 3, 1 / 3, 1 / 3)
    np.testing.assert_allclose(row.distance, 2 / np.sqrt(3))


def test_a_single_score_is_no_class() -> None:
    """By argmax every network would agree with every other."""
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(1, kernel_initializer="ones")(inputs)
    values = np.eye(3, dtype=np.float32)
    data = Evaluation(inputs=[values], labels=np.array([0, 1, 0]), count=3)
    row = scored("none", data, keras.Model(inputs, outputs), lambda batch: batch[:, :1] - 1)
    assert row.agreement is None and row.accuracy is None and row.distance > 0.5


def test_outputs_by_name_are_taken_as_keras_orders_them() -> None:
    inputs = keras.Input((2,))
    twice = keras.layers.Rescaling(2.0)(inputs)
    model = keras.Model(inputs, {"z": inputs, "a": twice})
    values = np.eye(2, dtype=np.float32)
    data = Evaluation(inputs=[values], labels=None, count=2)
    row = scored("file", data, model, lambda batch: [2 * batch, batch])  # as a file's runner
    assert (row.agreement, row.distance) == (1.0, 0.0)
