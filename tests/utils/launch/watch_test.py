"""Lines of horovodrun, and how a run ends; a stand-in takes the place of horovodrun."""

import io
import signal
import sys

import pytest

from utils.errors import InputError
from utils.launch import watch
from utils.launch.watch import NUM_LINES, Watch


@pytest.fixture
def streams():
    return io.StringIO(), io.StringIO()


def fed(streams, *lines):
    made = Watch(*streams)
    for line in lines:
        made.line(line + "\n")
    return made


def test_worker_0_is_heard_and_the_others_are_kept(streams):
    fed(
        streams,
        "[0]<stdout>:result",
        "[0]<stderr>:note [1]<stdout>:x",
        "[1]<stdout>:other",
        "[1]<stderr>:other",
        "horovodrun's own",
        "[0]<stderr>:I0000 cudart_stub.cc:31] Could not find cuda drivers",
    )
    assert [stream.getvalue() for stream in streams] == ["result\n", "note [1]<stdout>:x\n"]


def test_a_run_that_ends_well(streams):
    assert fed(streams, "[0]<stdout>:x").verdict(0, 2) == (0, "")


def test_a_killed_worker_is_named_with_its_last_lines(streams):
    lines = [f"[1]<stderr>:line {number}" for number in range(40)]
    ended = ["Process 1 exit with status code 137.", "Process 0 exit with status code 143."]
    code, text = fed(streams, *lines, *ended).verdict(1, 2)
    assert code == 1
    assert text.startswith("error: worker 1 of 2 ended with SIGKILL; all were stopped.")
    assert text.splitlines()[1:] == [f"  line {number}" for number in range(40 - NUM_LINES, 40)]


@pytest.mark.parametrize(("status", "expected"), [(2, 2), (130, 130), (143, 143)])
def test_what_worker_0_told_is_not_told_again(streams, status, expected):
    ended = [f"Process 0 exit with status code {status}.", "Process 1 exit with status code 143."]
    assert fed(streams, *ended).verdict(1, 2) == (expected, "")


def test_worker_0_killed(streams):
    code, text = fed(streams, "Process 0 exit with status code 137.").verdict(1, 2)
    assert code == 1
    assert "worker 0 of 2 ended with SIGKILL" in text


def test_bad_input_that_another_worker_alone_has(streams):
    lines = ["[1]<stderr>:error: no data here", "Process 1 exit with status code 2."]
    code, text = fed(streams, *lines).verdict(1, 2)
    assert code == 2
    assert "worker 1 of 2 ended with status 2" in text
    assert text.endswith("  error: no data here")


def test_workers_that_could_not_be_started(streams):
    code, text = fed(streams, "Traceback", "RuntimeError: no common interface").verdict(1, 2)
    assert code == 1
    assert text.splitlines()[0] == "error: the workers could not be started:"
    assert text.splitlines()[-1] == "  RuntimeError: no common interface"


def test_a_program_is_run_to_its_end(capfd):
    lines = ["[0]<stdout>:done", "[1]<stderr>:boom", "Process 1 exit with status code 139."]
    body = f"print({chr(10).join(lines)!r}); raise SystemExit(1)"
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert watch.run([sys.executable, "-c", body], 2) == 1
    seen = capfd.readouterr()
    assert seen.out == "done\n"
    assert "worker 1 of 2 ended with SIGSEGV" in seen.err
    assert seen.err.endswith("  boom\n")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_horovodrun_whose_python_was_moved(tmp_path):
    program = tmp_path / "horovodrun"
    program.write_text("#!/nowhere/python\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match=r"horovodrun cannot be started: .*install_horovod\.sh"):
        watch.run([str(program)], 2)
