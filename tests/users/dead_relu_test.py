"""A ReLU that is zero on all calibration images: its int8 file runs, and agrees."""

import keras
import numpy as np
import pytest

from tests.users.measured import digits, interpreted, network, right, short


def test_a_dead_relu(tmp_path):
    model = network()
    model.get_layer("first").bias.assign(np.full(8, -50.0))
    model.get_layer("second").bias.assign(np.linspace(0.1, 0.5, 8))
    report = short(model, tmp_path, tflite="float32,int8")
    file = report.file("int8")
    assert (file.failed, file.passed) == (None, True)
    assert any("was zero on every calibration sample" in note for note in file.notes)
    images = digits()[1][0]
    outputs, expected = interpreted(file.path, images), model.predict(images, verbose=0)
    assert np.sqrt(np.mean((outputs - expected) ** 2) / np.mean(expected**2)) < 0.05
    assert file.top1 == pytest.approx(right(outputs).mean())
    assert isinstance(report.model, keras.Model)
