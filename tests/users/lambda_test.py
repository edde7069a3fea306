"""Lambda layers: refused in one line, and they work where they are allowed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.users import own_files
from utils.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


FACTOR = 2.0


def with_lambda():
    # `tf` and FACTOR are names from outside, which no file holds.
    return own_files.network(layers.Lambda(lambda x: tf.nn.relu(x - 0.1) * FACTOR, name="code"))


@pytest.mark.parametrize("learner", ["chn-pruned-rmt", "full-prec"])
def test_refused_in_one_line(learner):
    message = r"^layer 'code' is a Lambda: it runs Python code .*with allow_unsafe=True\.$"
    with pytest.raises(InputError, match=message) as refused:
        own_files.compress(with_lambda(), learner=learner, out_dir="out")
    assert "\n" not in str(refused.value)


def test_allowed_and_resumed():
    model = with_lambda()
    options = {"out_dir": "out", "allow_unsafe": True, "tflite": "float32"}
    report = own_files.compress(model, **options)
    assert report.before.top1 == pytest.approx(own_files.accuracy(model))
    assert [row.layer for row in report.capability if row.action == "opaque"][-1] == "code"
    assert report.file("float32").agreement == 1.0
    again = own_files.compress(model, **options)  # from the saved state
    np.testing.assert_array_equal(again.model(own_files.IMAGES), report.model(own_files.IMAGES))


FORWARD = """
x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs / 100.0)
x = layers.Conv2D(8, 3, activation="relu", name="second")(x)
x = layers.Lambda(lambda x: tf.nn.relu(x - 0.1) * 2.0, name="code")(x)
x = layers.Conv2D(6, 1, activation="relu", name="third")(x)
return layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x))
"""


def test_in_a_helper_file(folder, capsys):
    """With weights from a file that has the same Lambda: plain Keras could not load it."""
    model = with_lambda()
    model.save("plain.keras")
    with pytest.raises(NotImplementedError):
        keras.saving.load_model("plain.keras", safe_mode=False)
    helper = own_files.helper_file(folder / "my_net.py", FORWARD)
    status, _ = own_files.pruning(helper, pretrained_path="plain.keras")
    lines = capsys.readouterr().err.strip().splitlines()
    assert status == 2 and lines[-1].startswith("error: layer 'code' is a Lambda: it runs Python")
    status, report = own_files.pruning(helper, pretrained_path="plain.keras", allow_unsafe=True)
    said = " ".join(capsys.readouterr().err.split())
    assert status == 0, said
    assert report["before"]["top1"] == pytest.approx(own_files.accuracy(model))
    # Where the Lambda's code is not known in the process, its weights are taken, and that is said.
    assert ("Keras cannot load it" in said) == ("Its weights fit and are taken." in said)


def test_a_file_whose_lambda_runs_alone(folder, capsys):
    """Scoring a file needs no helper's network, but it needs leave."""
    model = own_files.network(layers.Lambda(lambda x: x * 2.0 + 1.0, name="code"))
    model.save("plain.keras")
    helper = own_files.helper_file(folder / "my_net.py", FORWARD)
    arguments = {"model_helper": str(helper), "exec_mode": "eval", "pretrained_path": "plain.keras"}
    assert own_files.run(**arguments)[0] == 2
    assert "Lambda" in capsys.readouterr().err
    assert own_files.run(**arguments, allow_unsafe=True)[0] == 0
    assert f"accuracy: {own_files.accuracy(model):.4f}" in capsys.readouterr().out
