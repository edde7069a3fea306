"""A network's file: refused before anything is imported, or read with its notes."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from nets.network_file import check_network, read_network
from tests.utils.frontends.tflite.tiny import sparse_product
from utils.errors import InputError
from utils.frontends import loading


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone.keras", "`model`: there is no file 'gone.keras'"),
        ("gone.fpq", "`model`: there is no file 'gone.fpq'"),
        ("gone.pb", "`model`: there is no file 'gone.pb'"),
        ("net.txt", r"`model` must end in \.keras"),
    ],
)
def test_refused(path, message):
    with pytest.raises(InputError, match=message):
        check_network(path)


def test_checking_imports_no_framework():
    code = (
        "import sys, pytest\n"
        "from nets.network_file import check_network\n"
        "with pytest.raises(ValueError): check_network('gone.onnx')\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_read(tmp_path):
    path = str(tmp_path / "net.tflite")
    (tmp_path / "net.tflite").write_bytes(sparse_product(np.eye(3, 4, dtype=np.float16)))
    check_network(path)
    assert read_network(path).output_shape == (None, 3)


def test_what_there_is_to_say_is_printed(monkeypatch, capsys):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    monkeypatch.setattr(loading, "load_network", lambda *_, **__: (model, ("it was old",)))
    assert read_network("net.keras") is model
    assert "note: it was old" in capsys.readouterr().err
