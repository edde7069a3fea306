"""Fresh folders; that calls at the same time get different ones is in `tests/users`."""

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from utils.errors import InputError
from utils.folders import (
    fresh_folder,
    nearest_folder,
    own_temporary_place,
    passing_folder,
    sweep_passing,
)
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


CHILD = """
import os, pathlib, signal, sys
from utils.folders import passing_folder
with passing_folder(sys.argv[1] if len(sys.argv) > 1 else None) as folder:
    pathlib.Path(folder, "network.tflite").touch()
    print(folder, flush=True)
    sys.stdin.readline()
"""


def holder(place, *arguments):
    """A process that has a passing folder, and the folder."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place)},
    )
    folder = pathlib.Path(child.stdout.readline().strip())
    assert folder.parent == place and list(folder.iterdir()) == [folder / "network.tflite"]
    return child, folder


def killed(child):
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The system's place for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def dead(own, place, name="x_1y"):
    """A folder of a process of this host that never was."""
    folder = place / f"flowpress-{own.host}-{2**22 + 1}-7.{name}"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "state.keras").touch()
    return folder


def test_it_is_gone_in_the_end(place):
    with passing_folder() as folder:
        pathlib.Path(folder, "state.keras").touch()
        assert pathlib.Path(folder).parent == place
    with passing_folder(place) as folder:
        assert pathlib.Path(folder).name.startswith(".flowpress-")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("hidden", [False, True])
def test_what_a_killed_process_left_is_swept_and_a_living_one_keeps_its_own(place, hidden):
    within = [str(place)] if hidden else []
    (first, left), (second, kept) = holder(place, *within), holder(place, *within)
    killed(first)
    assert left.exists()
    with passing_folder(*within):
        assert not left.exists()
        assert list(kept.iterdir()) == [kept / "network.tflite"]
    killed(second)
    sweep_passing(*within)
    assert list(place.iterdir()) == []


def test_a_number_that_was_given_away_again_is_no_living_owner(place):
    own = this_process()
    left = place / f"flowpress-{own.host}-{own.pid}-{own.began + 1}.x"
    left.mkdir()
    sweep_passing()
    assert left.exists() is (own.began == 0)  # a system that does not tell when one began


def test_what_is_not_of_a_dead_process_of_this_host_stays(place):
    own = this_process()
    names = [f"flowpress-{own.text()}.abc", "flowpress-elsewhere-1-1.abc", "flowpress-x1", "other"]
    for name in names:
        (place / name).mkdir()
    (place / f"flowpress-{own.host}-{2**22 + 1}-7.file").touch()
    before = sorted(place.iterdir())
    sweep_passing()
    assert sorted(place.iterdir()) == before


def test_links_are_not_followed(place, tmp_path_factory):
    own = this_process()
    mine = tmp_path_factory.mktemp("mine")
    (mine / "thesis").touch()
    link = place / f"flowpress-{own.host}-{2**22 + 1}-7.link"
    link.symlink_to(mine)
    left = dead(own, place)
    (left / "inside").symlink_to(mine)
    sweep_passing()
    assert link.is_symlink() and not left.exists()
    assert list(mine.iterdir()) == [mine / "thesis"]


def test_another_users_folders_stay(place, monkeypatch):
    left = dead(this_process(), place)
    monkeypatch.setattr(os, "getuid", lambda: left.stat().st_uid + 1)
    sweep_passing()
    assert (left / "0" / "state.keras").exists()


def test_all_temporary_files_lie_in_one_place_and_go_with_it(place, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(place))
    with own_temporary_place():
        (own,) = place.iterdir()
        told = subprocess.run(
            [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == tempfile.gettempdir() == str(own)
        with tempfile.NamedTemporaryFile(delete=False) as file:
            assert pathlib.Path(file.name).parent == own
    assert list(place.iterdir()) == []
    assert (tempfile.gettempdir(), os.environ["TMPDIR"]) == (str(place), str(place))


def test_no_place_for_temporary_files(place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(place / "gone"))
    message = r"^there is no place for temporary files: No such file.*Set TMPDIR to a folder"
    with pytest.raises(InputError, match=message), own_temporary_place():
        pytest.fail("must not be reached")
