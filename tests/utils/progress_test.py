import io

import pytest
from rich.console import Console

from utils import progress


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", clock)
    return clock


@pytest.fixture
def console(monkeypatch):
    def make(*, terminal):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=terminal, width=100, soft_wrap=True)
        monkeypatch.setattr(progress, "notes", console)
        return stream

    return make


def test_lines_now_and_then(console, clock):
    stream = console(terminal=False)
    with progress.WorkProgress("selecting", "layers") as work:
        for done in range(1, 21):
            clock.now += 1.0
            work.update(done, 20, f"conv{done}")
    assert stream.getvalue().splitlines() == [
        "selecting: 5/20 layers, 1 a second, 15 s left, conv5",
        "selecting: 10/20 layers, 1 a second, 10 s left, conv10",
        "selecting: 15/20 layers, 1 a second, 5 s left, conv15",
        "selecting: 20/20 layers, 1 a second, 0 s left, conv20",
    ]


def test_quick_work_says_only_that_it_is_done(console, clock):
    stream = console(terminal=False)
    with progress.WorkProgress("reading", "files") as work:
        for done in range(1, 5):
            clock.now += 0.25
            work.update(done, 4)
    assert stream.getvalue() == "reading: 4/4 files, 4 a second, 0 s left\n"


def test_bar_on_a_terminal(console):
    stream = console(terminal=True)
    with progress.WorkProgress("selecting [x]", "layers") as work:
        work.update(1, 2, "conv1")
        work.update(2, 2, "conv2")
    shown = stream.getvalue()
    assert "selecting [x] conv2" in shown
    assert "2/2" in shown


def test_an_exception_passes_and_the_bar_ends(console):
    console(terminal=True)
    work = progress.WorkProgress("selecting", "layers")
    with pytest.raises(ZeroDivisionError), work:
        raise ZeroDivisionError
    with progress.WorkProgress("again", "layers") as again:  # a live bar would refuse a second one
        again.update(1, 1)


def test_what_an_earlier_session_did_says_nothing_about_the_rate(console, clock):
    stream = console(terminal=False)
    with progress.WorkProgress("searching", "roll-outs", done=100) as work:
        clock.now += 10.0
        work.update(110, 120)
    assert stream.getvalue() == "searching: 110/120 roll-outs, 1 a second, 10 s left\n"
