"""What a measured worker counts; the rows themselves need two workers and minutes."""

from types import SimpleNamespace

from benchmarks import distributed_run
from benchmarks.distributed_run import bytes_sent, step_clock

TABLE = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo:  100       1    0    0    0     0          0         0     1000       1    0    0    0
  eth0:    7       1    0    0    0     0          0         0       23       1    0    0    0
"""


def test_bytes_of_all_interfaces(tmp_path):
    table = tmp_path / "dev"
    table.write_text(TABLE)
    assert bytes_sent(table) == 1023
    assert bytes_sent(tmp_path / "none") == 0


def test_every_step_is_marked(monkeypatch):
    marks = iter([10, 30])
    monkeypatch.setattr(distributed_run, "bytes_sent", lambda: next(marks))
    clock = step_clock()
    for step in range(2):
        clock.on_train_batch_end(step)
    assert clock.sent == [10, 30]
    assert clock.seconds[0] <= clock.seconds[1]


def test_flags_go_to_the_command(monkeypatch):
    seen = []
    monkeypatch.setattr(distributed_run, "_take_own_core", lambda: None)
    monkeypatch.setattr("pipeline.command.run", lambda argv: seen.append(argv) or 7)
    assert distributed_run.main(["file", "--learner=x", "--out_dir=a b"]) == 7
    assert seen == [["--learner=x", "--out_dir=a b"]]


def test_a_worker_takes_the_core_of_its_number(monkeypatch):
    taken = []
    monkeypatch.setattr(
        distributed_run,
        "os",
        SimpleNamespace(
            sched_getaffinity=lambda _: {3, 5},
            sched_setaffinity=lambda _, cores: taken.append(cores),
            environ={"HOROVOD_LOCAL_RANK": "1"},
        ),
    )
    distributed_run._take_own_core()
    assert taken == [{5}]
