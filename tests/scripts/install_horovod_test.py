"""The installer up to where the minutes begin; it is carried out by `make test-distributed`."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.scripts.stand_ins import ROOT, stand_in

SCRIPT = ROOT / "scripts" / "install_horovod.sh"
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))
SHELL = ("bash", "cat", "dirname", "env", "find", "grep", "head", "mkdir", "mktemp", "rm", "tail")


def install(tmp_path, *arguments, programs=()):
    """Call it with a cache of its own and nothing but some programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SHELL:
        os.symlink(shutil.which(name), folder / name)
    for name in programs:
        stand_in(folder / name)
    return subprocess.run(
        [str(SCRIPT), f"--python={sys.executable}", *arguments],
        env={"PATH": str(folder), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("programs", "options", "lacking"),
    [
        ((), (), "cmake"),
        (("cmake",), (), "make"),
        (("cmake", "make"), (), "g++"),
        (("cmake", "make", "g++"), ("--mpi",), "mpicxx"),
        (("cmake", "make", "g++"), ("--nccl",), "nvcc"),
    ],
)
def test_a_missing_program_is_named_with_its_package(tmp_path, programs, options, lacking):
    done = install(tmp_path, *options, programs=programs)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: {lacking} is missing, which builds Horovod. Install it: apt"
    )
    assert done.stderr.count("\n") == 1


def test_unknown_options_are_refused(tmp_path):
    done = install(tmp_path, "--cuda")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown option --cuda. Known: --mpi, --nccl")


def test_a_python_without_tensorflow_is_refused(tmp_path):
    stand_in(tmp_path / "python", "[ $# -eq 2 ]")  # runs `-c 'import sys'`, finds no packages
    done = install(tmp_path, f"--python={tmp_path / 'python'}")
    assert done.returncode == 1
    assert "has no TensorFlow, which Horovod is built for. Run make install first." in done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_clean(script):
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("needs shellcheck: apt-get install shellcheck")
    done = subprocess.run([program, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_delete_nothing_of_the_users(script):
    """Nothing but folders that the script has made itself."""
    own = ('"$work"', '"$check"', '"$cache"', '"$cache.new"')
    for line in script.read_text().splitlines():
        code = line.partition(" #")[0]
        if "rm " in code and not code.lstrip().startswith("#"):
            assert any(name in code for name in own) or "--rm" in code, line
