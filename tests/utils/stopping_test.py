"""Signals: noted first, then as always."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from utils.stopping import (
    INTERRUPTED_LINE,
    Interrupted,
    StopRequests,
    Terminated,
    interrupting,
    terminating,
)


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers():
    """Give the test Python's own handlers, and the test runner its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_signal_is_noted_and_the_second_acts():
    with StopRequests() as stop:
        assert stop.signal is None
        send(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with pytest.raises(KeyboardInterrupt) as raised:
            send(signal.SIGINT)
    assert not isinstance(raised.value, Interrupted)


def test_a_second_sigterm_ends_the_process_at_once():
    code = (
        "import os, signal\nfrom utils.stopping import StopRequests\n"
        "with StopRequests() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print(stop.signal.name, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "SIGTERM\n")


def test_handlers_are_given_back():
    with StopRequests():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopRequests() as stop:
        send(signal.SIGINT)
        assert stop.signal is None
        send(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM


def test_other_threads_change_nothing():
    found = []

    def body():
        with StopRequests(), terminating():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, Interrupted), (signal.SIGTERM, Terminated)]
)
def test_what_is_raised_in_the_end(number, kind):
    with pytest.raises(kind) as raised, StopRequests() as stop:
        send(number)
        stop.raise_stop()
    if kind is Terminated:
        assert (raised.value.code, raised.value.told) == (143, True)


def test_terminating_raises_where_the_program_is():
    with pytest.raises(Terminated) as raised, terminating():
        send(signal.SIGTERM)
    assert (raised.value.code, raised.value.told) == (143, False)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_terminating_leaves_a_handler_of_others():
    calls = []
    signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
    with terminating():
        send(signal.SIGTERM)
    assert calls == [1]


def test_the_first_ctrl_c_raises():
    with interrupting() as found:
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert found.asked
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("told", [False, True])
def test_the_second_ends_the_process_in_one_line(told):
    code = (
        "import os, signal\nfrom utils.stopping import interrupting\n"
        "with interrupting() as found:\n"
        f"    found.told = {told}\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n        pass\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines() == ([] if told else [INTERRUPTED_LINE])


def test_one_that_is_swallowed_ends_the_process_later(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr("utils.stopping._PATIENCE", 0.01)
    monkeypatch.setattr("utils.stopping._thread.interrupt_main", ended.set)
    with interrupting():
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert ended.wait(5.0)


def test_what_is_ignored_is_not_interrupted():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupting() as found:
        send(signal.SIGINT)
        assert not found.asked
