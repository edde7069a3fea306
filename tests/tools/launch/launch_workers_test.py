"""The launcher's flags, and its command lines as they are printed."""

import shlex

import pytest

from tools.launch import launch_workers
from utils.launch import slots

COMMAND = ["python", "main.py", "--out_dir=a 'b' \"c\" *", "", "--x=ü"]


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(slots, "idle_gpus", lambda: None)
    monkeypatch.setattr(slots.os, "sched_getaffinity", lambda _: range(2), raising=False)
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def printed(capsys, *arguments):
    assert launch_workers.main([*arguments, "--dry_run", "--", *COMMAND]) == 0
    return shlex.split(capsys.readouterr().out)


def test_workers_here(capsys, two_cores):
    call = printed(capsys, "--num_workers=2")
    assert call[0].endswith("horovodrun")
    assert call[1:6] == ["--gloo", "-np", "2", "-H", "localhost:2"]
    assert call[6:] == ["env", "OMP_NUM_THREADS=1", "TF_NUM_INTRAOP_THREADS=1", *COMMAND]


def test_workers_of_a_cluster(capsys, tmp_path):
    path = tmp_path / "my seven.yaml"
    path.write_text("hosts: {one: 2, two: 2}\nenvironment: {A: 'x y'}\n")
    call = printed(capsys, f"--cluster_file={path}")
    assert call[2:] == ["-np", "4", "-H", "one:2,two:2", "env", "A=x y", *COMMAND]
    call = printed(capsys, f"--cluster_file={path}", "--num_workers=3")
    assert call[3:6] == ["3", "-H", "one:2,two:1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num_workers=3", "--", "x"], "error: -n=3: this machine has 2 cores"),
        (["--num_workers=0", "--", "x"], "error: -n=0: the number of workers"),
        (["--num_workers=2"], "error: there is no command. Write it behind `--`"),
        (["--cluster_file=no.yaml", "--", "x"], "error: there is no file 'no.yaml'"),
        (["--nodes=2", "--", "x"], "error: Unknown flag --nodes"),
    ],
)
def test_bad_input_is_one_line(capsys, two_cores, arguments, message):
    assert launch_workers.main(arguments) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith(message)
    assert seen.err.count("\n") == 1
