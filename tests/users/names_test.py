"""Files, networks and layers of any name, from training to the file for the device."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from tests.users import own_files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outputs_of(path):
    """What a `.tflite` file gives, by a loop of our own over the interpreter."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for image in own_files.IMAGES:
        interpreter.set_tensor(inputs["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(outputs["index"])[0])
    return np.array(found)


FORWARD = """
x = layers.Conv2D(8, 3, activation="relu", name="erste Größe")(inputs / 100.0)
x = layers.Conv2D(8, 3, activation="relu", name="_2:b")(x)
return layers.Dense(2, name="head-1")(layers.GlobalAveragePooling2D()(x))
"""


def test_a_helper_file_of_any_name(folder, capsys):
    place = folder / "Mein Ordner ä"
    place.mkdir()
    helper = own_files.helper_file(place / "mein netz-1 ü.py", FORWARD)
    out = "Läufe/a b"
    status, _ = own_files.pruning(
        helper, learner="full-prec,chn-pruned-rmt", nb_epochs="1,1", tflite="float32,int8",
        out_dir=out, nb_smpls_calib=16, tflite_min_agreement=0,
    )  # fmt: skip
    assert status == 0, capsys.readouterr().err
    model = keras.saving.load_model(folder / out / "model.keras")
    assert model.name == "mein_netz-1_u" and model.get_layer("erste_Große".replace("ß", "_"))
    written = folder / out / "model_float32.tflite"
    np.testing.assert_allclose(
        outputs_of(written), model(own_files.IMAGES), rtol=1e-4, atol=1e-4
    )  # fmt: skip
    assert (folder / out / "report.html").is_file()


def test_a_model_of_any_names():
    inputs = keras.Input((8, 8, 2), name="mein bild")
    x = layers.Conv2D(8, 3, activation="relu", name="dritte Schicht ü")(inputs / 100.0)
    x = layers.Conv2D(4, 1, name="-")(x)
    x = layers.TimeDistributed(layers.Dense(3, name="ganz innen"), name="a:b")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="Größe 1")
    expected = np.array(model(own_files.IMAGES))
    labels = np.argmax(expected, axis=-1)
    report = own_files.compress(
        model, out_dir="out", nb_epochs=0, tflite="float32", cpr_skip_frst_layer=False
    )
    assert report.before.top1 == pytest.approx(np.mean(labels == own_files.LABELS))
    assert model.name == "Größe 1" and model.get_layer("dritte Schicht ü")  # the caller's is as was
    np.testing.assert_allclose(
        outputs_of("out/model_float32.tflite"), report.model(own_files.IMAGES), rtol=1e-4, atol=1e-4
    )
    names = [row.name for row in report.layers]
    assert names == ["dritte_Schicht_u", "n-", "a_b"]


def test_slashes_are_keras_own_limit():
    with pytest.raises(ValueError, match="cannot contain character `/`"):
        layers.Dense(2, name="a/b")
