import subprocess
import sys
import tempfile

from utils.children import end_child


def test_a_process_and_its_pipes_are_gone():
    errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by what is tested
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
    )
    end_child(process, errors)
    assert process.returncode is not None
    assert process.stdin.closed and process.stdout.closed and errors.closed


def test_what_was_not_sent_is_no_error():
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    process.wait()
    process.stdin.write(b"never read")  # still in the buffer: closing would send it
    end_child(process)
    assert process.stdin.closed
    end_child(process)  # twice is no harm
