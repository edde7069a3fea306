"""Workers that are killed: the run stops and says so, the next one goes on, to the same bits."""

import sys
import time

import pytest

from benchmarks.killed_runs import PATIENCE, contents, killed_run, random_moments, workers_of
from tests.distributed.launching import ENVIRONMENT, ROOT, flowpress, workers

NUM_KILLS = 3  # `make bench TOPIC=distributed` makes 10
RUN = ["--learner=full-prec,chn-pruned-rmt", "--nb_epochs=6,2", "--save_step=7",
       "--cpr_prune_ratio=0.5", "--cpr_nb_smpls=128", "--cpr_nb_crops_per_smpl=4"]  # fmt: skip
LAST = ("state/1_full_prec.keras", "state/2_chn_pruned_rmt.keras", "model.keras")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run to its end, and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    start = time.perf_counter()
    done = workers(2, *flowpress(*RUN, f"--out_dir={folder}"))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, time.perf_counter() - start


def test_killed_again_and_again_it_ends_with_the_same_bits(undisturbed, tmp_path):
    whole, seconds = undisturbed
    folder = tmp_path / "killed again"
    call = [str(ROOT / "scripts" / "run_local.sh"), "nets/convnet_at_digits_run.py", "-n=2",
            "--tflite=none", *RUN, f"--out_dir={folder}"]  # fmt: skip
    num_kills = 0
    for rank, delay in random_moments(seed=1, number=NUM_KILLS, longest=0.8 * seconds):
        kill = killed_run(call, str(folder), rank=rank, delay=delay, environ=ENVIRONMENT)
        if kill is None:  # it had ended
            break
        num_kills += 1
        assert kill.status not in (0, 2)
        assert kill.seconds < PATIENCE
        assert f"error: worker {rank} of 2 ended with SIGKILL; all were stopped" in kill.said
        assert "Traceback" not in kill.said
        assert kill.orphans == ()
    assert num_kills
    done = workers(2, *flowpress(*RUN, f"--out_dir={folder}"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert workers_of(str(folder)) == []
    for name in LAST:
        assert contents(folder / name) == contents(whole / name), name
