"""One owner for each folder."""

import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from utils import ownership
from utils.errors import InputError
from utils.ownership import LOCK_FILE, owned
from utils.processes import Process, this_process

CHILD = (
    "import sys, time\nfrom utils.ownership import owned\n"
    "with owned(sys.argv[1:]):\n    print('mine', flush=True)\n    time.sleep(60)"
)


def holder(*folders):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, folders)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "mine\n"
    return child


def test_it_is_given_back(tmp_path):
    with owned([tmp_path / "a", tmp_path / "b" / "c", tmp_path / "a"]):
        assert (tmp_path / "a" / LOCK_FILE).is_file()
        (tmp_path / "a" / "model.keras").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "model.keras"]


def test_another_run_is_refused_and_named(tmp_path):
    child = holder(tmp_path / "a")
    try:
        message = rf"in use by the run of process {child.pid} on \w.*Give another --out_dir"
        with pytest.raises(InputError, match=message), owned([tmp_path / "b", tmp_path / "a"]):
            pytest.fail("must not be reached")
        assert not (tmp_path / "b").exists()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.parametrize("text", ["", '{"host": "HOST", "pid": 4194305, "began": 5}\n'])
def test_who_has_just_locked_it_is_named_all_the_same(tmp_path, text):
    """The text follows the lock; until then the file is empty or a killed run's."""
    path = tmp_path / LOCK_FILE
    path.write_text(text.replace("HOST", this_process().host))
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    writer = threading.Timer(0.2, ownership._write_owner, [descriptor])
    writer.start()
    try:
        with pytest.raises(InputError, match=f"process {os.getpid()} on"), owned([tmp_path]):
            pytest.fail("must not be reached")
    finally:
        writer.join()
        os.close(descriptor)


def test_what_a_killed_run_left_is_no_obstacle(tmp_path):
    child = holder(tmp_path)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert (tmp_path / LOCK_FILE).exists()
    with owned([tmp_path]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_twice_in_one_process(tmp_path):
    with (
        owned([tmp_path]),
        pytest.raises(InputError, match=f"process {os.getpid()}"),
        owned([tmp_path]),
    ):
        pytest.fail("must not be reached")


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        (Process("elsewhere", 1, 1), "process 1 on elsewhere.* If it has ended, remove"),
        (Process(this_process().host, os.getppid(), 0), "is in use"),
        (Process(this_process().host, 2**22 + 1, 5), None),
        (None, None),
    ],
)
def test_without_locks_the_text_decides(tmp_path, monkeypatch, owner, message):
    monkeypatch.setattr(ownership, "fcntl", None)
    if owner is None:
        text = "garbage"
    else:
        text = f'{{"host": "{owner.host}", "pid": {owner.pid}, "began": {owner.began}}}'
    (tmp_path / LOCK_FILE).write_text(text)
    if message is None:
        with owned([tmp_path]):
            pass
        return
    with pytest.raises(InputError, match=message), owned([tmp_path]):
        pytest.fail("must not be reached")


def test_leftovers_are_swept(tmp_path):
    own = this_process()
    gone = {
        ".model.elsewhere-1-1-0.tmp.keras",
        f".model.{own.host}-{2**22 + 1}-7-0.tmp.json",
        f".model.{own.host}-{own.pid}-{own.began + 1}-3.tmp",
    }
    kept = {f".model.{own.text()}-0.tmp.keras", "model.tmp.keras", ".hidden", "x.keras"}
    for name in gone | kept:
        (tmp_path / name).touch()
    with owned([tmp_path]):
        assert {path.name for path in tmp_path.iterdir()} == kept | {LOCK_FILE}


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="cannot write to the folder"),
        owned([tmp_path / "file/a"]),
    ):
        pytest.fail("must not be reached")


def test_an_exception_gives_it_back(tmp_path):
    with pytest.raises(KeyboardInterrupt), owned([tmp_path / "a"]):
        raise KeyboardInterrupt
    assert not pathlib.Path(tmp_path / "a").exists()


def test_a_run_that_writes_nothing_leaves_no_trace(tmp_path):
    os.utime(tmp_path, ns=(5, 7))
    with owned([tmp_path]):
        pass
    assert tmp_path.stat().st_mtime_ns == 7
    with owned([tmp_path]):
        (tmp_path / "model.keras").touch()
    assert tmp_path.stat().st_mtime_ns != 7
