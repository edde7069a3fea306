"""Sizes of `.keras` files are compared without an optimizer on either side."""

import os
import warnings

import keras

from tests.users.measured import PRUNING, short, trained


def plain_bytes(path, tmp_path):
    """Size of the network saved by plain Keras, uncompiled."""
    model = keras.saving.load_model(path, compile=False)
    model.save(tmp_path / "plain.keras")
    return os.path.getsize(tmp_path / "plain.keras")


def test_a_compiled_network_is_measured_without_its_optimizer(tmp_path):
    model = trained()  # Adam: two numbers beside every weight
    model.save(tmp_path / "with_optimizer.keras")
    report = short(model, tmp_path / "out", **PRUNING)
    for scored in (report.before, report.after):
        assert scored.file_bytes == os.path.getsize(scored.path)
        expected = plain_bytes(scored.path, tmp_path)
        assert abs(scored.file_bytes - expected) < 0.02 * expected
    assert report.before.file_bytes < 0.6 * os.path.getsize(tmp_path / "with_optimizer.keras")
    ratio = report.after.file_bytes / report.before.file_bytes
    weights = report.after.params / report.before.params
    assert ratio > weights  # archives have a part of fixed size
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keras.saving.load_model(report.before.path)  # as any user loads it


def test_a_network_that_is_only_trained(tmp_path):
    report = short(trained(), tmp_path, nb_epochs=0.2)
    assert abs(report.after.file_bytes / report.before.file_bytes - 1) < 0.02
