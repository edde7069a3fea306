"""Fresh folders; that calls at the same time get different ones is in `tests/users`."""

import pathlib

import pytest

from utils.errors import InputError
from utils.folders import fresh_folder, nearest_folder


def test_the_first_name_that_is_free(tmp_path):
    (tmp_path / "run-2").mkdir()
    (tmp_path / "run-3").write_text("a file")
    names = []
    for _ in range(3):
        with fresh_folder(tmp_path / "run") as folder:
            names.append(folder.name)
            assert list(folder.iterdir()) == []
    assert names == ["run", "run-4", "run-5"]
    assert (tmp_path / "run-5").is_dir()


def test_removed_again_if_nothing_was_written(tmp_path):
    with pytest.raises(KeyError), fresh_folder(tmp_path / "a" / "b" / "run"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), fresh_folder(tmp_path / "a" / "run") as folder:
        (folder / "state").write_text("half")
        raise KeyError
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == [
        "a",
        "a/run",
        "a/run/state",
    ]


def test_parents_that_were_there_stay(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyError), fresh_folder(tmp_path / "a" / "run"):
        raise KeyError
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_where_no_folder_can_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").write_text("")
    message = r"^cannot make the folder 'file/run': .*Give --out_dir, a folder that you may write"
    with pytest.raises(InputError, match=message), fresh_folder("file/run"):
        pass


def test_the_nearest_folder_exists(tmp_path):
    assert nearest_folder(tmp_path / "a" / "b" / "c.txt") == tmp_path
    (tmp_path / "a").mkdir()
    assert nearest_folder(tmp_path / "a" / "b" / "c.txt") == tmp_path / "a"
    (tmp_path / "a" / "b").write_text("a file")
    with pytest.raises(InputError, match="is a file, not a folder"):
        nearest_folder(tmp_path / "a" / "b" / "c.txt")
