"""Running a user's file."""

import os

import pytest

from utils.errors import InputError
from utils.user_file import load_user_file


def test_its_neighbors_can_be_imported(tmp_path):
    (tmp_path / "beside_it.py").write_text("NUMBER = 7\n")
    path = tmp_path / "mine.py"
    path.write_text("from beside_it import NUMBER\n")
    assert load_user_file(path, "Data file").NUMBER == 7


def test_two_files_of_one_name_are_two_modules(tmp_path):
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"NAME = {name!r}\n")
        found.append(load_user_file(tmp_path / name / "mine.py", "Data file"))
    assert [module.NAME for module in found] == ["a", "b"]


def test_refused(tmp_path):
    with pytest.raises(InputError, match=r"Data file .*gone\.py': there is no such file"):
        load_user_file(tmp_path / "gone.py", "Data file")
    (tmp_path / "bad.py").write_text("1 / 0\n")
    with pytest.raises(InputError, match=r"Data file .*bad.py: ZeroDivisionError.*line 1"):
        load_user_file(tmp_path / "bad.py", "Data file")


def test_tensorflow_does_not_greet(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(
        "utils.user_file.importlib.import_module", lambda name: os.write(2, f"{name}!".encode())
    )
    (tmp_path / "mine.py").write_text("import keras\nimport os\nos.write(2, b'mine')\n")
    load_user_file(tmp_path / "mine.py", "Data file")
    assert capfd.readouterr().err == "mine"
