import json

import pytest

import main
from benchmarks import cifar_runs
from benchmarks.rows import Context


@pytest.fixture
def context(tmp_path):
    return Context(work_dir=tmp_path, seed=0)


@pytest.fixture
def runs(monkeypatch):
    """Calls of the command, which leaves a report."""
    calls = []

    def run(argv):
        calls.append(argv)
        folder = cifar_runs.pathlib.Path(argv[-1].removeprefix("--out_dir="))
        folder.mkdir(parents=True)
        after = {"top1": 0.01 * len(calls), "flops": 5}
        (folder / "report.json").write_text(json.dumps({"after": after, "before": {"flops": 10}}))
        return 0

    monkeypatch.setattr(main, "run", run)
    return calls


def test_a_finished_run_is_taken_as_it_is(tmp_path, runs):
    folder = tmp_path / "a"
    first = cifar_runs.finished_run(folder, ["--x=1"])
    assert cifar_runs.finished_run(folder, ["--x=1"]) == first
    assert runs == [["--x=1", f"--out_dir={folder}"]]


def test_a_command_that_fails_fails_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "run", lambda argv: 2)
    with pytest.raises(RuntimeError, match="status 2"):
        cifar_runs.finished_run(tmp_path / "a", ["--x=1"])


def test_each_run_has_a_folder_of_its_own(context):
    folders = {
        cifar_runs.folder_of(context, seed, options)
        for seed in (0, 1)
        for options in (("--a=1",), ("--a=2",), ("--a=1", "--b=1"))
    }
    assert len(folders) == 6
    assert {folder.parent for folder in folders} == {context.work_dir}


def test_seeds_and_their_spread(context, runs, monkeypatch):
    monkeypatch.setattr(Context, "data", lambda self, *names: self.work_dir)
    monkeypatch.setattr(cifar_runs.real_data, "cifar10_for_a_row", lambda: "data")
    found = cifar_runs.spread(cifar_runs.over_seeds(context, "--learner=x", size=56))
    assert found == pytest.approx(
        {"top1": 0.02, "top1_lowest": 0.01, "top1_highest": 0.03, "flops_kept": 0.5}
    )
    assert [argv[-2] for argv in runs] == ["--seed=0", "--seed=1", "--seed=2"]
    assert "--resnet_size=56" in runs[0]
