"""A process is host, number and beginning."""

import dataclasses
import os
import subprocess
import sys

import pytest

from utils.processes import Process, this_process


def test_this_process_runs():
    own = this_process()
    assert own.pid == os.getpid()
    assert own.is_running()
    assert Process.parsed(own.text()) == own
    assert "." not in own.host


def test_a_process_that_ended_does_not_run():
    code = "from utils.processes import this_process; print(this_process().text())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert not Process.parsed(done.stdout.strip()).is_running()


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux' /proc")
def test_a_number_that_was_given_away_again_is_another_process():
    own = this_process()
    assert own.began > 0
    assert not dataclasses.replace(own, began=own.began + 1).is_running()
    assert dataclasses.replace(own, began=0).is_running()  # not known: the number counts


def test_a_forked_child_is_another_process():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, this_process().text().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert Process.parsed(os.read(read, 200).decode()).pid == child
    os.close(read)
    os.close(write)


def test_what_is_none():
    with pytest.raises(ValueError, match="host-number-ticks"):
        Process.parsed("host-17")
