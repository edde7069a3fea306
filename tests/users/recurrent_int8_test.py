"""A rolled recurrent layer becomes an int8 file: unrolled, equal to the network, and said so."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from flowpress import compress
from tests.users.measured import QUICK, interpreted


@pytest.fixture(scope="module")
def data():
    """Sequences whose class is the sign of their mean."""
    values = np.random.default_rng(0).normal(size=(120, 3, 4)).astype(np.float32)
    labels = (values.mean(axis=(1, 2)) > 0).astype(np.int32)
    return tf.data.Dataset.from_tensor_slices((values, labels)).batch(30), values, labels


@pytest.mark.parametrize(
    "layer", [keras.layers.GRU, keras.layers.LSTM], ids=lambda layer: layer.__name__
)
def test_rolled_layers(layer, data, tmp_path):
    dataset, values, labels = data
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(8, name="unit")(inputs)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(dataset, epochs=6, verbose=0)
    report = compress(
        model, dataset, dataset, out_dir=tmp_path, **QUICK | {"tflite": "float32,int8"}
    )
    expected = model.predict(values, verbose=0)
    file = report.file("int8")
    assert (file.failed, file.float_operators, file.passed) == (None, (), True)
    outputs = interpreted(file.path, values)
    assert np.sqrt(np.mean((outputs - expected) ** 2) / np.mean(expected**2)) < 0.1
    assert file.top1 == pytest.approx(np.mean(outputs.argmax(-1) == labels))
    (note,) = file.notes
    assert "The recurrent layers unit stand unrolled in the int8 file" in note
    np.testing.assert_allclose(
        interpreted(report.file("float32").path, values), expected, rtol=1e-3, atol=1e-4
    )
