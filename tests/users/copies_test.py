"""A network that holds statistics of its data: the one before is the one that was given."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.users import own_files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained():
    """Adapted to the data and trained: clearly better than a guess."""
    statistics = layers.Normalization(name="statistics")
    statistics.adapt(own_files.IMAGES)
    model = own_files.network(front=statistics)
    model.fit(own_files.batches(), epochs=30, verbose=0)
    assert own_files.accuracy(model) > 0.9
    return model


def test_before_is_what_keras_measures(trained):
    report = own_files.compress(trained, out_dir="out", prune_ratio=0.25, nb_epochs=0)
    assert report.before.top1 == pytest.approx(own_files.accuracy(trained))
    saved = keras.saving.load_model("out/model_before.keras")
    np.testing.assert_array_equal(saved(own_files.IMAGES), trained(own_files.IMAGES))
    after = keras.saving.load_model("out/model.keras")
    after.compile("sgd", trained.loss, metrics=["accuracy"])
    assert report.after.top1 == pytest.approx(own_files.accuracy(after))
    assert report.after.top1 > 0.8


FORWARD = """
x = layers.Normalization(name="statistics")(inputs)
x = layers.Conv2D(8, 3, activation="relu", name="first")(x)
x = layers.Conv2D(8, 3, activation="relu", name="second")(x)
x = layers.Conv2D(6, 1, activation="relu", name="third")(x)
return layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x))
"""


def test_as_a_file_and_as_a_teacher(trained, folder, capsys):
    """The same through the command: weights from a file, and a teacher of it."""
    trained.save("plain.keras")
    helper = own_files.helper_file(folder / "my_net.py", FORWARD)
    status, report = own_files.pruning(
        helper, pretrained_path="plain.keras", enbl_dst=True, save_path_dst="plain.keras"
    )
    assert status == 0, capsys.readouterr().err
    assert report["before"]["top1"] == pytest.approx(own_files.accuracy(trained))
    assert report["after"]["params"] < report["before"]["params"]


def test_full_precision_keeps_the_network_before(trained):
    """No compression: the copy is made before training starts."""
    report = own_files.compress(trained, learner="full-prec", out_dir="out", lrn_rate_init=1e-9)
    assert report.before.top1 == report.after.top1 == pytest.approx(own_files.accuracy(trained))
