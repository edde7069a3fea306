"""The script with the real launcher; nothing is started, or ssh is a stand-in."""

import shlex
import sys
from pathlib import Path

import pytest

from tests.scripts.stand_ins import ROOT, run, stand_in

SCRIPT = ROOT / "scripts" / "run_seven.sh"
NETWORK = "nets/resnet_at_cifar10_run.py"


@pytest.fixture
def seven(tmp_path):
    """Call the script in a folder with a `seven.yaml` of two machines."""
    (tmp_path / "seven.yaml").write_text(
        "hosts: {one.invalid: 2, two.invalid: 2}\nenvironment: {A: 'x y'}\n"
    )
    stand_in(tmp_path / "bin" / "ssh", "echo 'ssh: connect to host: refused' >&2; exit 255")
    # Where the checkout has no .venv, the script takes python3 of the PATH.
    stand_in(tmp_path / "bin" / "python3", f'exec {shlex.quote(sys.executable)} "$@"')

    def call(*arguments):
        return run(SCRIPT, *arguments, programs=tmp_path / "bin", cwd=tmp_path)

    return call


def test_a_dry_run_prints_the_exact_command(seven):
    flags = ["--learner=x", "--out_dir=a 'b' \"c\" $HOME *", ""]
    done = seven(NETWORK, "-n=3", "--dry_run", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    words = shlex.split(done.stdout)
    assert Path(words[0]).name == "horovodrun"
    assert words[1:8] == ["--gloo", "-np", "3", "-H", "one.invalid:2,two.invalid:1", "env", "A=x y"]
    assert words[9:] == [str(ROOT / "main.py"), "--model_helper=resnet_at_cifar10", *flags]


def test_all_slots_by_default(seven):
    words = shlex.split(seven(NETWORK, "--dry_run").stdout)
    assert words[2:6] == ["-np", "4", "-H", "one.invalid:2,two.invalid:2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([NETWORK, "-n=0"], "error: -n=0: the number of workers must be a whole number"),
        ([NETWORK, "-n=5"], "error: -n=5: seven.yaml has 4 slots (one.invalid: 2, two.invalid: 2)"),
        ([NETWORK, "--seven=no such.yaml"], "error: there is no file 'no such.yaml'. Copy seven."),
        (["--dry_run"], "error: no network is named."),
        ([], "usage: "),
    ],
)
def test_wrong_calls_are_refused(seven, arguments, message):
    done = seven(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_unknown_keys_are_refused(seven, tmp_path):
    (tmp_path / "seven.yaml").write_text("hosts: {one: 1}\nenviroment: {}\n")
    done = seven(NETWORK, "--dry_run")
    assert done.returncode == 2
    assert "unknown key 'enviroment'. Did you mean environment?" in done.stderr
    assert done.stderr.count("\n") == 1
