"""A command under a Python without the dependencies: goes on in the .venv, else one line."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import main
from utils import start

ROOT = Path(main.__file__).resolve().parent
FIND = (
    "import sys; from utils import start; start.find_dependencies(sys.argv.pop(1)); print('here')"
)


def run(script, *argv, bare=True):
    """Run the search in a Python of its own; `bare` hides all packages."""
    return subprocess.run(
        [sys.executable, *(["-S"] if bare else []), "-c", FIND, str(script), *argv],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_with_the_dependencies_it_goes_on(tmp_path):
    done = run(tmp_path / "main.py", bare=False)
    assert (done.returncode, done.stdout) == (0, "here\n")


def test_goes_on_in_the_checkouts_environment(tmp_path):
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    python.chmod(0o755)
    done = run(tmp_path / "main.py", "--seed=1", "two words")
    assert done.returncode == 7
    assert done.stdout == f"{tmp_path}/main.py --seed=1 two words\n"


def test_an_environment_that_lacks_them_too_is_tried_once(tmp_path):
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -c "{FIND}" "$@"\n')
    python.chmod(0o755)
    done = run(tmp_path / "main.py")
    assert done.returncode == 2
    assert "make -C" in done.stderr


def test_says_the_one_command(tmp_path):
    done = run(tmp_path / "main.py")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"make -C {tmp_path} install" in line
    assert "tensorflow" in line


def test_another_python_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 8, 0))
    assert start.lacking() == ["Python 3.11 to 3.13"]


@pytest.mark.parametrize("name", ["main.py", "utils/start.py", "utils/__init__.py"])
def test_an_old_python_can_read_it(name):
    with pytest.raises(SyntaxError):  # so that what follows means something
        ast.parse("(a := 1)", feature_version=(3, 6))
    text = (ROOT / name).read_text()
    assert ast.get_docstring(ast.parse(text, feature_version=(3, 6)))


BEGUN = "from utils import start\nstart.prepare()\n"


def ended(code, **options):
    return subprocess.run(
        [sys.executable, "-c", BEGUN + code],
        cwd=ROOT, capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


def test_ctrl_c_while_it_begins_is_one_line():
    done = ended("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('here')")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_ctrl_c_while_it_ends_changes_nothing():
    done = ended(
        "import atexit, os, signal\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\nstart.finish(130)"
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_the_status_is_the_commands_whatever_becomes_of_its_output():
    command = (
        f'PYTHONUNBUFFERED= {sys.executable} -c "{BEGUN}print(9); start.finish(0)" > /dev/full'
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("size", "status"), [(2, 2), (2, 0), (1, 2)])
def test_one_of_several_workers_that_failed_waits_for_nobody(size, status):
    done = ended(
        "import atexit, os\n"
        f"os.environ['HOROVOD_SIZE'] = '{size}'\n"
        "atexit.register(lambda: os.write(2, b'waited'))\n"
        f"print('said', end=''); start.finish({status})"
    )
    waited = "" if size > 1 and status else "waited"
    assert (done.returncode, done.stdout, done.stderr) == (status, "said", waited)


def test_closed_streams_are_opened():
    code = f"{BEGUN}import os; print(os.open('/dev/null', 0))"
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "{code}" 0<&- 2>&-'],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert int(done.stdout) > 2
