"""Output that cannot be written is dropped."""

import io
import subprocess
import sys

import pytest

from utils.output import LenientStream, lenient_output


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


class Closed(io.StringIO):
    def flush(self):
        raise BrokenPipeError


def test_a_full_disk_is_noted_once():
    other = io.StringIO()
    stream = LenientStream(Full(), "standard output", other)
    assert stream.write("abc") == 3
    stream.writelines(["a", "b"])
    stream.flush()
    assert other.getvalue() == (
        "note: standard output cannot be written to: No space left on device.\n"
    )


def test_a_reader_that_has_enough_is_no_news():
    other = io.StringIO()
    stream = LenientStream(Closed(), "standard output", other)
    stream.write("a")
    stream.flush()
    stream.write("b")
    assert other.getvalue() == ""


def test_no_stream_at_all():
    stream = LenientStream(None, "standard output")
    stream.write("a")
    stream.flush()
    assert not stream.isatty()


def test_other_encodings():
    raw = io.BytesIO()
    stream = LenientStream(io.TextIOWrapper(raw, encoding="ascii"), "standard output")
    stream.write("ü 😀\n")
    stream.flush()
    assert raw.getvalue() == b"\\xfc \\U0001f600\n"


def test_streams_are_given_back():
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), lenient_output():
        assert isinstance(sys.stdout, LenientStream)
        raise KeyError
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "| true", ">/dev/full 2>&1"])
def test_a_command_ends_well(redirection):
    code = (
        "from utils import start; start.prepare()\n"
        "from utils.command import guarded, out, notes\n"
        "def body():\n    [out.print('line') for _ in range(9999)]; notes.print('done')\n"
        "start.finish(guarded(body, []))"
    )
    command = f'set -o pipefail; {sys.executable} -c "{code}" {redirection}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
