import pathlib
import re
import subprocess
import sys

import keras
import pytest

from tools.benchmark.calc_inference_time import main
from utils.export.tflite import convert
from utils.files import save_keras_model

ROOT = pathlib.Path(__file__).resolve().parents[3]
FEW = ["--nb_repts=4", "--nb_repts_warmup=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small network as .keras and .tflite."""
    path = tmp_path_factory.mktemp("files")
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    save_keras_model(model, path / "a.keras")
    for kind in ("float32", "dynamic"):
        (path / f"a_{kind}.tflite").write_bytes(convert(model, kind))
    (path / "broken.tflite").write_bytes(b"nothing")
    return path


def test_compares_with_the_first(folder, capsys):
    names = ("a_float32.tflite", "a_dynamic.tflite")
    assert main([f"--model_file={','.join(str(folder / name) for name in names)}", *FEW]) == 0
    text = capsys.readouterr().out
    assert "p50" in text and "p95" in text and "batch 1, 4 calls each" in text
    assert len(re.findall(r"\d\.\d\d-\d+\.\d\d", text)) == 1  # all but the first are compared


def test_a_file_is_the_same_as_its_copy(folder, capsys):
    copy = folder / "copy.tflite"
    copy.write_bytes((folder / "a_float32.tflite").read_bytes())
    names = f"{folder}/a_float32.tflite,{copy}"
    assert main([f"--model_file={names}", "--nb_repts=100", "--nb_repts_warmup=20"]) == 0
    assert "same" in capsys.readouterr().out


def test_repeated_flag_and_older_flags(folder, capsys):
    repeated = ["--model_file", str(folder / "a.keras"), f"--model_file={folder}/a_float32.tflite"]
    assert main([*repeated, *FEW, "--batch_size=2", "--input_name=x"]) == 0
    captured = capsys.readouterr()
    assert "--input_name has no effect" in captured.err
    assert "batch 2" in captured.out and len(re.findall(r"\d\.\d\d-\d", captured.out)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`model_file` must name a .keras, .h5 or .tflite file. Received: none."),
        (["--model_file={}/a.onnx"], "`model_file` must end in .keras, .h5 or .tflite. Received:"),
        (["--model_file={}/none.tflite"], "`model_file`: there is no file"),
        (["--model_file={0}/a.keras,{0}/a.keras"], "`model_file` must name each file once"),
        (["--model_file={}/broken.tflite"], "{}/broken.tflite cannot be run:"),
        (["--model_file={}/a.keras", "--nb_repts=0"], "`nb_repts` must be in [1, 100000]"),
        (["--model_fiel={}/a.keras"], "Unknown flag --model_fiel. Did you mean --model_file?"),
    ],
)
def test_refuses_wrong_input(arguments, message, folder, capsys):
    assert main([argument.format(folder) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message.format(folder)}") and error.count("\n") == 1


def test_runs_as_a_script(folder):
    script = ROOT / "tools" / "benchmark" / "calc_inference_time.py"
    command = [sys.executable, str(script), "--model_file", str(folder / "a.keras"), *FEW]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert result.returncode == 0, result.stderr
    (row,) = (line for line in result.stdout.splitlines() if re.search(r"\d\.\d{3}", line))
    assert re.search(r"\s1\s+\d+\.\d{3}", row)  # one thread, for Keras too
    assert result.stderr == ""
