"""The script with a stand-in for Python that notes how it is called."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import main

ROOT = Path(main.__file__).resolve().parent


@pytest.fixture
def checkout(tmp_path):
    """A checkout with nothing but the script; a stand-in python3 is on the PATH."""
    folder = tmp_path / "a checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "run_local.sh", folder / "scripts")
    stand_in(tmp_path / "bin" / "python3")
    return folder


def stand_in(path, status=0):
    """Write a program that prints its name and arguments, one a line."""
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0" "$@"\nexit {status}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def run(checkout, *arguments, cwd=None):
    path = f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(checkout / "scripts" / "run_local.sh"), *arguments],
        cwd=cwd or checkout,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def arguments_of(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[1:]


@pytest.mark.parametrize(
    ("script", "helper"),
    [
        ("nets/resnet_at_cifar10_run.py", "resnet_at_cifar10"),
        ("resnet_at_cifar10", "resnet_at_cifar10"),
        ("nets/my net.py", "nets/my net.py"),
        ("/else/where/my_run.py", "/else/where/my_run.py"),
    ],
)
def test_first_argument_names_the_network(checkout, script, helper):
    assert arguments_of(run(checkout, script)) == [
        str(checkout / "main.py"),
        f"--model_helper={helper}",
    ]


def test_flags_are_handed_on_as_they_are(checkout):
    flags = ["--learner=chn-pruned-rmt", "--cpr_skip_op_names", "a, b", "--out_dir=with space/*"]
    assert arguments_of(run(checkout, "nets/x_run.py", *flags))[2:] == flags


def test_one_worker_may_be_said(checkout):
    assert arguments_of(run(checkout, "nets/x_run.py", "-n=1"))[2:] == []


def test_several_workers_are_started_by_the_launcher(checkout):
    flags = ["--learner=x", "--out_dir=with 'both' \"quotes\" and space/*", ""]
    received = arguments_of(run(checkout, "nets/x_run.py", "-n=3", *flags))
    assert received[:3] == [
        str(checkout / "tools" / "launch" / "launch_workers.py"),
        "--num_workers=3",
        "--",
    ]
    assert received[3:] == ["python3", str(checkout / "main.py"), "--model_helper=x", *flags]


def test_relative_paths_stay_the_callers(checkout, tmp_path):
    done = run(checkout, "my_net.py", cwd=tmp_path)
    assert arguments_of(done)[1] == "--model_helper=my_net.py"


def test_python_of_the_checkout_is_preferred(checkout):
    python = checkout / ".venv" / "bin" / "python"
    assert run(checkout, "x").stdout.splitlines()[0].endswith("bin/python3")
    stand_in(python)
    assert run(checkout, "x").stdout.splitlines()[0] == str(python)


def test_exit_status_is_handed_on(checkout):
    stand_in(checkout / ".venv" / "bin" / "python", status=2)
    assert run(checkout, "x").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"usage: .*run_local.sh nets/<arch>_at_<dataset>_run.py"),
        (["nets/x_run.py", "-n=0"], r"error: -n=0: the number of workers must be a whole number"),
        (["nets/x_run.py", "-n=two"], r"error: -n=two: the number of workers must be"),
        (["nets/x_run.py", "-n="], r"error: -n=: the number of workers must be"),
    ],
)
def test_wrong_calls_are_refused(checkout, arguments, message):
    done = run(checkout, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(message, done.stderr)


def test_a_wrong_flag_is_refused_by_the_real_thing():
    done = subprocess.run(
        [str(ROOT / "scripts" / "run_local.sh"), "nets/convnet_at_digits_run.py", "--seeed=1"],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: Unknown flag --seeed. Did you mean --seed?")
