"""Files appear whole or not at all; paths that cannot be written are refused before that."""

import os
import pathlib
import subprocess
import sys

import pytest

from utils.atomic import atomic_path, check_writable, is_full, sweep
from utils.errors import InputError


def test_atomic_path_replaces_the_file_at_the_end(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "new" / "model.txt"
    for text in ("first", "second"):
        with atomic_path(target) as temporary:
            assert temporary.parent == target.parent
            assert temporary.suffix == ".txt"
            temporary.write_text(text)
            assert not target.exists() or target.read_text() == "first"
        assert target.read_text() == text
    assert os.listdir(target.parent) == ["model.txt"]


def test_atomic_path_keeps_the_old_file_on_an_exception(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "model.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.txt"]


def test_atomic_path_sweeps_what_killed_runs_left(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "model.txt"
    child = (
        "import os, signal, sys; from utils.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", child, str(target)], check=False)
    assert len(os.listdir(tmp_path)) == 1
    assert not target.exists()
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
    assert os.listdir(tmp_path) == ["model.txt"]


def test_atomic_path_reports_a_failing_write_as_input_error(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "model.txt"
    with (
        pytest.raises(InputError, match=r"cannot write '.*model.txt': No space left on device"),
        atomic_path(target),
    ):
        raise OSError(28, "No space left on device")


def test_atomic_path_refuses_a_folder_below_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"cannot write .*Choose a path in a folder"),
        atomic_path(tmp_path / "file" / "model.keras"),
    ):
        pytest.fail("must not be reached")


def test_check_writable_leaves_nothing(tmp_path: pathlib.Path) -> None:
    check_writable(tmp_path / "a" / "b" / "model.keras")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/proc/none/model.keras", "cannot write '/proc/none/model.keras'.*Choose a path"),
        ("{tmp}", "it is a folder, a file name is needed"),
        ("{tmp}/file/model.keras", "file is a file, not a folder"),
        ("{tmp}/" + "n" * 300 + ".keras", "File name too long"),
        ("{tmp}/null\0.keras", "contains a null character"),
    ],
)
def test_check_writable_refuses(tmp_path: pathlib.Path, path: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message):
        check_writable(path.replace("{tmp}", str(tmp_path)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_check_writable_refuses_a_read_only_folder(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        check_writable(tmp_path / "model.keras")


def test_long_names_have_room_for_the_temporary_one(tmp_path: pathlib.Path) -> None:
    target = tmp_path / ("n" * 185 + ".keras")
    check_writable(target)
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
    assert target.read_text() == "whole"


def test_links_to_nowhere_are_no_folders(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(InputError, match="link is a link to nowhere"):
        check_writable(tmp_path / "link" / "model.keras")


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "x"), True),
        (OSError("Unable to write (errno = 28, error message = 'No space left on device')"), True),
        (OSError(13, "Permission denied"), False),
        (ValueError("x"), False),
    ],
)
def test_full_disks_are_recognized(error: Exception, full: bool) -> None:
    outer = RuntimeError("wrapped")
    outer.__cause__ = error
    assert is_full(error) == full
    assert is_full(outer) == full


def test_the_owner_sweeps_what_other_hosts_left(tmp_path: pathlib.Path) -> None:
    for name in (".a.elsewhere-1-2-0.tmp.keras", ".gitignore", "a.keras"):
        (tmp_path / name).touch()
    with atomic_path(tmp_path / "a.keras") as temporary:
        temporary.touch()
    assert len(os.listdir(tmp_path)) == 3
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".gitignore", "a.keras"]
