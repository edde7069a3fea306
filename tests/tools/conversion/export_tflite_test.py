import re

import keras
import numpy as np
import pytest

from tools.conversion.export_tflite import main
from utils.export.runner import TFLiteRunner
from utils.files import save_keras_model


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1), name="images")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="fc")(x), name="net")


@pytest.fixture
def model_file(tmp_path, network):
    save_keras_model(network, tmp_path / "net.keras")
    return tmp_path / "net.keras"


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, images=np.random.default_rng(0).random((40, 8, 8, 1), dtype=np.float32))
    return path


def files(folder):
    return sorted(path.name for path in folder.glob("*.tflite"))


def test_with_a_helper(model_file, capsys):
    loose = ["--tflite_min_agreement=0.5", "--tflite_max_gap=0.5"]  # the network is not trained
    arguments = [f"--model_file={model_file}", "--model_helper=convnet_at_digits", *loose]
    assert main([*arguments, "--kinds=int8,float32"]) == 0
    assert files(model_file.parent) == ["net_float32.tflite", "net_int8.tflite"]
    text = capsys.readouterr().out
    assert "agreement" in text and "100.00%" in text and "Checked on 359 samples" in text
    assert re.search(r"net_int8.tflite  \(accuracy \d+\.\d-\d+\.\d%, 95 % interval\)", text)


def test_with_a_calibration_file(model_file, images, network):
    out = model_file.parent / "out"
    arguments = [f"--model_file={model_file}", f"--calibration_file={images}", "--kinds=int8"]
    assert main([*arguments, f"--out_dir={out}", "--tflite_io=float32"]) == 0
    assert files(out) == ["net_int8.tflite"]
    samples = np.load(images)["images"]
    np.testing.assert_allclose(
        TFLiteRunner(out / "net_int8.tflite")(samples), network(samples), atol=0.05
    )


def test_float_needs_no_samples_and_older_flags_work(tmp_path, network, capsys):
    save_keras_model(network, tmp_path / "model.keras")
    assert main([f"--model_dir={tmp_path}", "--tflite=float32", "--enbl_post_quant=True"]) == 0
    assert files(tmp_path) == ["model_dynamic.tflite", "model_float32.tflite"]
    assert main([f"--model_dir={tmp_path}", "--tflite=float32", "--mean_values=3"]) == 0
    assert "note: --mean_values has no effect: ranges come from" in capsys.readouterr().err
    older = ["--enbl_fake_prune=True", "--fake_prune_ratio=0.25"]
    assert main([f"--model_dir={tmp_path}", "--tflite=float32", *older]) == 0
    said = " ".join(capsys.readouterr().err.split())
    for name in ("enbl_fake_prune", "fake_prune_ratio"):
        assert f"--{name} has no effect: files are made of the network as it is" in said


def test_a_failed_check_shows_the_layers_and_writes_the_others(model_file, images, capsys):
    arguments = [f"--model_file={model_file}", f"--calibration_file={images}"]
    assert main([*arguments, "--kinds=float32,int8", "--tflite_max_error=0"]) == 2
    captured = capsys.readouterr()
    assert "Layers of the int8 file" in captured.out and "conv" in captured.out
    assert captured.err.startswith("error: the int8 .tflite file differs too much")
    assert captured.err.count("\n") == 1
    assert files(model_file.parent) == ["net_float32.tflite"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "an int8 file needs calibration samples: give --model_helper, or --calibration_file"),
        (["--kinds=int3"], "there is no .tflite file of the kind 'int3'"),
        (["--kinds=none"], "`kinds` names no kind of file"),
        (["--model_helper=convnet_at_digit"], "Unknown model helper 'convnet_at_digit'. Did you"),
        (["--kinds=float32", "--model_file=none.keras"], "none.keras: no such file"),
        (["--kinds=float32", "--batch_size=3"], "Unknown flag --batch_size."),
        (["--calibration_file=none.npz"], "none.npz: no such file"),
        (["--nb_smpls_calib=0"], "`nb_smpls_calib` must be in [1, 100000]. Received: 0."),
        (["--kinds=float32", "--out_dir=/dev/null/x"], "cannot write '/dev/null/x/net_float32"),
    ],
)
def test_refuses_wrong_input(arguments, message, model_file, capsys):
    assert main([f"--model_file={model_file}", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1
    assert files(model_file.parent) == []
