import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from utils import command
from utils.errors import InputError
from utils.stopping import Interrupted, Terminated


def refuse():
    raise InputError("first line\n   and   second [bold]")


def interrupt():
    raise KeyboardInterrupt


def crash():
    raise ZeroDivisionError


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (1, 1)])
def test_status_of_the_body(result, status):
    assert command.guarded(lambda: result, []) == status


def test_bad_input_is_one_line_and_status_2(capsys):
    assert command.guarded(refuse, ["--x"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: first line and second [bold]\n"
    assert captured.out == ""


def test_a_long_line_is_not_wrapped(capsys):
    def body():
        raise InputError("word " * 200)

    assert command.guarded(body, []) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("argument", ["--debug", "--debug=True", "--debug=true"])
def test_debug_lets_the_traceback_through(argument):
    with pytest.raises(InputError, match="first line"):
        command.guarded(refuse, [argument])


def test_interruption(capsys):
    assert command.guarded(interrupt, []) == 130
    assert "resumes from the last save" in capsys.readouterr().err


def test_termination(capsys):
    def body():
        os.kill(os.getpid(), signal.SIGTERM)

    assert command.guarded(body, []) == 143
    assert capsys.readouterr().err == ("Terminated. The same command resumes from the last save.\n")


@pytest.mark.parametrize(("stop", "status"), [(Interrupted(), 130), (Terminated(told=True), 143)])
def test_who_was_told_is_not_told_again(stop, status, capsys):
    def body():
        raise stop

    assert command.guarded(body, []) == status
    assert capsys.readouterr().err == ""


def test_our_own_mistakes_are_one_line_and_status_1(capsys):
    assert command.guarded(crash, []) == 1
    assert capsys.readouterr().err == (
        "error: ZeroDivisionError: no message. (command_test.py, line 24) This is a mistake of "
        "Flowpress: please report it with the traceback, which --debug shows.\n"
    )
    with pytest.raises(ZeroDivisionError):
        command.guarded(crash, ["--debug"])


def test_mistakes_in_the_users_code_are_one_line_and_status_2(tmp_path, capsys):
    path = tmp_path / "net.py"
    path.write_text("def crash():\n    1 / 0\n")
    namespace = {}
    exec(compile(path.read_text(), path, "exec"), namespace)
    assert command.guarded(namespace["crash"], []) == 2
    assert capsys.readouterr().err == (
        "error: your code failed: ZeroDivisionError: division by zero. (net.py, line 2; traceback: "
        "--debug)\n"
    )


def test_tensorflow_is_told_to_be_quiet(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    command.quiet_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert os.environ["KERAS_BACKEND"] == "jax"  # what the user set stays


def test_tensorflow_stays_out():
    code = "import sys, utils.command; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ctrl_c_that_a_library_made_something_else_of(capsys):
    def body():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("a graph failed") from None

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert command.guarded(body, []) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "Interrupted. The same command resumes from the last save.\n"


def test_warnings_of_libraries_are_not_shown(capsys, tmp_path):
    user = tmp_path / "mine.py"
    user.write_text("import warnings\nwarnings.warn('of mine')\n")

    def body():
        warnings.warn_explicit("of theirs", UserWarning, np.__file__, 3)
        exec(compile(user.read_text(), str(user), "exec"), {})
        raise InputError("wrong")

    assert command.guarded(body, []) == 2
    assert capsys.readouterr().err == "note: mine.py, line 2: of mine\nerror: wrong\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), f"error: {command.DISK_FULL}\n"),
        (
            OSError(36, "File name too long", "x" * 300),
            f"error: {'x' * 200}: File name too long.\n",
        ),
        (InputError("runs/:smile:/a"), "error: runs/:smile:/a\n"),
        (InputError("a\x1b[31m\udcff"), "error: a\\x1b[31m\\udcff\n"),
    ],
)
def test_what_the_place_is_to_blame_for(capsys, error, line):
    def body():
        raise error

    assert command.guarded(body, []) == 2
    assert capsys.readouterr().err == line
