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
