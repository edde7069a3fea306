"""What is said, by whom, and who has which files, in runs of two workers."""

import json
import pathlib
import sys

from tests.distributed.launching import flowpress, workers


def test_what_all_find_wrong_is_said_once():
    done = workers(2, *flowpress("--seeed=1"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: Unknown flag --seeed. Did you mean --seed?")
    assert done.stderr.count("\n") == 1


def test_workers_with_other_flags_are_refused(tmp_path):
    """As with another version on the second machine."""
    command = flowpress("--nb_epochs=1", f"--out_dir={tmp_path / 'out'}")
    done = workers(2, "bash", "-c", 'exec "$@" --seed=$HOROVOD_RANK', "-", *command)
    assert done.returncode == 2
    assert done.stderr.startswith("error: worker 1 on ")
    assert "differs from worker 0" in done.stderr
    assert "flags" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "model.keras").exists()


def test_a_script_of_the_users(tmp_path):
    """Every worker gets the report and the network; one folder is made, and one voice is heard."""
    program = pathlib.Path(__file__).with_name("own_data.py")
    done = workers(2, sys.executable, str(program), str(tmp_path / "facts"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (json.loads((tmp_path / f"facts.{rank}").read_text()) for rank in range(2))
    assert one == two
    assert one["steps"] == 6  # 7 batches of 16, the last of 5 images: 3 steps an epoch
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["compress"]
    assert (tmp_path / "runs" / "compress" / "model.keras").is_file()
    assert done.stderr.count("stage 1 of 1") == 1
