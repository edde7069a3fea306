import pathlib
import subprocess
import sys

import keras
import pytest

from learners.sparsity.prune_dict import ratios_by_layer, read_prune_dict
from tests.learners import networks
from tools.graph_tools.write_prune_dict import main

KERNELS = ["stem", "a1", "a2", "b1", "b2", "short", "head"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net.keras"
    networks.residual().save(path)
    return path


def written(path):
    return ratios_by_layer(read_prune_dict(path, "f"), KERNELS)


def test_a_line_per_kernel(file, tmp_path, capsys):
    out = tmp_path / "prune.yaml"
    assert main([f"--model_file={file}", f"--out_file={out}"]) == 0
    assert written(out) == dict.fromkeys(KERNELS, 0.75) | {"stem": 0.0}
    assert "a1: 0.75  # 576 weights, 3x3x8x8\n" in out.read_text()
    sizes = [216, 576, 576, 864, 1296, 96, 60]
    share = 100 * 0.75 * sum(sizes[1:]) / sum(sizes)
    said = " ".join(capsys.readouterr().out.split())
    assert f"{share:.1f} % of the {sum(sizes):,} weights in 7 kernels go. Left whole: stem." in said


def test_what_is_left_whole(file, tmp_path):
    out = tmp_path / "prune.yaml"
    given = [f"--model_file={file}", f"--out_file={out}", "--prune_ratio=0.9375"]
    ends = ["--noskip_frst_layer", "--skip_last_layer"]
    assert main([*given, *ends, "--skip=a?, short"]) == 0
    assert written(out) == {
        **dict.fromkeys(KERNELS, 0.9375),
        **dict.fromkeys(["a1", "a2", "short", "head"], 0.0),
    }


def test_a_first_dense_layer_is_no_convolution(tmp_path):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6), keras.layers.Dense(3)])
    model.save(tmp_path / "net.keras")
    out = tmp_path / "prune.yaml"
    assert main([f"--model_file={tmp_path / 'net.keras'}", f"--out_file={out}"]) == 0
    assert set(read_prune_dict(out, "f").entries.values()) == {0.75}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`model_file` must name a .keras or .h5 file or a graph's folder. Received: none."),
        (["--model_file={}", "--prune_ratio=1"], "`prune_ratio` must be in [0, 1). Received: 1"),
        (["--model_file={}", "--skip=c*"], "`skip`: no layer whose weights can be removed is name"),
        (["--model_file={}", "--out_file={}/prune.yaml"], "net.keras"),
    ],
)
def test_refuses_wrong_input(arguments, message, file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([argument.format(file) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not pathlib.Path("prune.yaml").exists()


def test_runs_as_a_script(tmp_path):
    root = pathlib.Path(__file__).resolve().parents[3]
    command = [sys.executable, str(root / "tools" / "graph_tools" / "write_prune_dict.py")]
    done = subprocess.run(
        [*command, "--help"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0 and "--skip_frst_layer" in done.stdout
