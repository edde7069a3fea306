import csv
import io
import json
import pathlib
import subprocess
import sys

import keras
import pytest
from keras import layers

from tools.graph_tools.model_complexity import main
from utils.graph import complexity, disk, from_keras

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    return keras.Model(inputs, layers.Dense(5, name="head")(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    model.save(path / "net.keras")
    disk.save(from_keras(model), path / "graph")
    (path / "broken.keras").write_bytes(b"nothing")
    (path / "net.h5").write_bytes(b"")
    (path / "net.pt").write_bytes(b"")
    return path


def test_json(folder, model, capsys):
    assert main([f"--model_file={folder}/net.keras", "--format=json"]) == 0
    data = json.loads(capsys.readouterr().out)
    cost = complexity(from_keras(model))
    assert data["total"] == {
        "params": model.count_params(),
        "nonzeros": cost.nonzeros,
        "sparsity": cost.sparsity,
        "flops": cost.flops,
        "sparse_flops": cost.sparse_flops,
        "peak_activation_bytes": cost.peak_activation_bytes,
    }
    conv = next(row for row in data["layers"] if row["name"] == "conv")
    assert conv["output_shape"] == [None, 8, 8, 4] and conv["flops"] == 64 * 27 * 4


def test_csv_of_a_graph_with_the_other_rule(folder, model, tmp_path):
    path = tmp_path / "new" / "cost.csv"
    arguments = [f"--model_file={folder}/graph", "--format=csv", f"--out_file={path}"]
    assert main([*arguments, "--skip_padding"]) == 0
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert rows[-1]["name"] == "total" and rows[-1]["params"] == str(model.count_params())
    conv = next(row for row in rows if row["name"] == "conv")
    assert conv["flops"] == str((8 + 7 + 7) ** 2 * 3 * 4) and conv["output_shape"] == "8x8x4"


def test_table(folder, capsys):
    assert main([f"--model_file={folder}/net.keras"]) == 0
    text = capsys.readouterr().out
    assert "all positions" in text and "6,912" in text and "total" in text
    assert main([f"--model_file={folder}/net.keras", "--skip_padding"]) == 0
    assert "positions inside the image" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`model_file` must name a .keras or .h5 file or a graph's folder. Received: none."),
        (["--model_file={}/none.keras"], "`model_file`: there is no file or folder"),
        (
            ["--model_file={}/net.pt"],
            "`model_file` must be a .keras or .h5 file or a folder. Received:",
        ),
        (["--model_file={}/net.h5"], "net.h5: is not an .h5 file (HDF5)."),
        (["--model_file={}/broken.keras"], "broken.keras: is not a .keras file"),
        (["--model_file={}"], "graph.json: no such file"),
        (["--model_file={}/net.keras", "--format=xml"], "`format` must be one of"),
        (["--model_file={}/net.keras", "--out_file={}/net.h5/x"], "cannot write"),
        (["--skip_paddign"], "Unknown flag --skip_paddign. Did you mean --skip_padding?"),
    ],
)
def test_refuses_wrong_input(arguments, message, folder, capsys):
    assert main([argument.format(folder) for argument in arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_runs_as_a_script_from_anywhere(tmp_path):
    script = ROOT / "tools" / "graph_tools" / "model_complexity.py"
    done = subprocess.run(
        [sys.executable, str(script), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "--skip_padding" in done.stdout
