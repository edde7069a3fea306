"""Fresh folders; that calls at the same time get different ones is in `tests/users`."""

import pathlib
import tempfile

import pytest

from utils.errors import InputError
from utils.folders import fresh_folder, nearest_folder, passing_folder
from utils.processes import this_process


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


def test_a_workers_folder_goes_and_so_does_what_killed_ones_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = this_process()
    left = tmp_path / f"flowpress_worker_{own.host}-{2**22 + 1}-7.x_1y"
    kept = [f"flowpress_worker_{own.text()}.abc", "flowpress_worker_elsewhere-1-1.abc", "other"]
    for folder in (left, *(tmp_path / name for name in kept)):
        (folder / "0").mkdir(parents=True)
        (folder / "0" / "state.keras").touch()
    with passing_folder() as folder:
        assert folder.parent == tmp_path
        (folder / "state.keras").touch()
        assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
