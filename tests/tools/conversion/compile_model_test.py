"""compile_model.py: six files or none, compared with the source."""

import numpy as np
import pytest

from tests.utils.frontends.tflite.tiny import sparse_product, tensor, write
from tools.conversion.compile_model import FUSED, RECONSTRUCT, main
from utils.graph import disk, to_keras

WEIGHTS = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]], np.float16)
FILES = [f"{name}_{part}" for name in (RECONSTRUCT, FUSED)
         for part in ("graph.json", "graph.png", "params.npz")]  # fmt: skip


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(sparse_product(WEIGHTS))
    return str(path)


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_six_files(net, tmp_path, capsys):
    folder = tmp_path / "ir"
    assert main(["tflite", net, f"--out_dir={folder}"]) == 0
    assert files(folder) == sorted(FILES)
    out = capsys.readouterr().out
    assert "IR_for_reconstruct: distance to tflite: 0.00e+00" in out and "2 nodes" in out
    graph = disk.load_files(folder / FILES[0], folder / FILES[2])
    x = np.arange(4, dtype=np.float32)[None]
    np.testing.assert_array_equal(to_keras(graph)(x), x @ WEIGHTS.T.astype(np.float32))


def test_results_of_the_user(net, tmp_path, capsys):
    x = np.arange(4, dtype=np.float32)[None]
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x @ WEIGHTS.T.astype(np.float32))
    np.save(tmp_path / "wrong.npy", x @ WEIGHTS.T.astype(np.float32) + 1)
    folder, given = tmp_path / "ir", f"--input_npy={tmp_path}/x.npy"
    arguments = ["tflite", net, f"--out_dir={folder}", "--picture=none", given]
    assert main([*arguments, f"--result_npy={tmp_path}/wrong.npy"]) == 2
    assert files(folder) == [] and "at most 0.0001 is accepted" in capsys.readouterr().err
    np.save(tmp_path / "long.npy", np.ones((1, 5), np.float32))
    assert main([*arguments, f"--result_npy={tmp_path}/long.npy"]) == 2
    assert "must have the shape (n, 3), axes in the" in capsys.readouterr().err
    arguments[-1] = f"--input_npy={tmp_path}/long.npy"
    assert main([*arguments, f"--result_npy={tmp_path}/y.npy"]) == 2
    assert "Received: (1, 5)" in " ".join(capsys.readouterr().err.split())
    arguments[-1] = given
    assert main([*arguments, f"--result_npy={tmp_path}/y.npy"]) == 0
    assert files(folder) == sorted(name for name in FILES if not name.endswith("png"))


def test_every_node_in_the_way_is_named(tmp_path, capsys):
    tensors = [tensor(name, (1, 4)) for name in "xhy"]
    path = tmp_path / "own.tflite"
    path.write_bytes(write(tensors, [], [("MyOwn", [0], [1], None), ("LSTM", [1], [2], None)]))
    assert main(["tflite", str(path), f"--out_dir={tmp_path}/ir"]) == 2
    error = capsys.readouterr().err
    assert "'h' (custom MyOwn)" in error and "'y' (LSTM)" in error
    assert files(tmp_path / "ir") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give the framework and the model"),
        (["tflite"], "give the framework and the model"),
        (["caffe", "net"], "unknown framework 'caffe'"),
        (["tflite", "gone.tflite"], "there is no file 'gone.tflite'"),
        (["tflite", "NET", "7"], "`epoch` does not apply to tflite"),
        (["tflite", "NET", "x"], "behind the model stands an epoch"),
        (["tflite", "NET", "--weights=w.pth"], "`weights` does not apply to tflite"),
        (["tflite", "NET", "--input_npy=x.npy"], "`input_npy` has no effect without"),
        (["tflite", "NET", "--out_dir=NET"], "is a file, not a folder"),
    ],
)
def test_refusals(arguments, words, net, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([each.replace("NET", net) for each in arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
