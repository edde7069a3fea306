import pytest

from tests.utils.export.pruned import images, small
from tools.benchmark.estimate_ethos_u import main
from utils.export.tflite import convert


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("files")
    for ratio in (0.0, 0.9):
        (path / f"{ratio}.tflite").write_bytes(convert(small(ratio), "int8", [images()]))
    (path / "float.tflite").write_bytes(convert(small(), "float32"))
    return path


def test_files_side_by_side(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    names = [f"--model_file={folder}/{ratio}.tflite" for ratio in (0.0, 0.9)]
    assert main([*names, "--per_operator"]) == 0
    text = capsys.readouterr().out
    assert "ethos-u55-128, Ethos_U55_High_End_Embedded, Shared_Sram; one inference" in text
    for word in ("weights", "encoded", "cycles", "SRAM", "CPU ops", "7.57 kB", "FullyConnected"):
        assert word in text, word


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`model_file` must name a .tflite file. Received: none."),
        (["--model_file={}/0.0.keras"], "`model_file` must end in .tflite. Received:"),
        (["--model_file={}/none.tflite"], "`model_file`: there is no file"),
        (["--model_file={}/0.0.tflite", "--accelerator=u55"], "`accelerator` must be one of"),
        (
            ["--model_file={}/0.0.tflite", "--memory_mode=Sram_Only"],
            "system configuration and memory mode must be given together.",
        ),
        (["--model_file={}/float.tflite"], "{}/float.tflite: ethos-u55-128 can run nothing of"),
    ],
)
def test_refuses_wrong_input(arguments, message, folder, capsys):
    assert main([argument.format(folder) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message.format(folder)}") and error.count("\n") == 1
