import pytest

from pipeline.steps import ReportedError, Steps
from tests.utils.report import samples
from utils.errors import InputError


def broken():
    raise ZeroDivisionError("by nothing")


def refused():
    raise InputError("the file is too large.\n Take another.")


def test_what_fails_is_noted_and_the_rest_goes_on():
    steps = Steps()
    assert steps.run("latency", broken, default=7) == 7
    assert steps.run("export", refused, default=None) is None
    assert steps.run("counting", lambda: 3, default=0) == 3
    assert [failure.step for failure in steps.failures] == ["latency", "export"]
    assert steps.failures[0].reason.startswith("ZeroDivisionError: by nothing. (")
    assert steps.failures[1].reason == "the file is too large. Take another."


def test_seconds_of_a_step_add_up():
    steps = Steps()
    for _ in range(2):
        steps.run("export", lambda: None, default=None)
        steps.run("export", broken, default=None)
    assert list(steps.seconds) == ["export"] and steps.seconds["export"] > 0


def test_a_traceback_where_it_was_asked_for(capsys):
    Steps().run("latency", broken, default=None)
    assert "Traceback" not in capsys.readouterr().err
    Steps(debug=True).run("latency", broken, default=None)
    assert 'raise ZeroDivisionError("by nothing")' in capsys.readouterr().err


def test_a_stop_from_outside_is_no_failure():
    def interrupted():
        raise KeyboardInterrupt

    steps = Steps()
    with pytest.raises(KeyboardInterrupt):
        steps.run("latency", interrupted, default=None)
    assert steps.failures == []


def test_the_error_carries_the_report():
    report = samples.report()
    error = ReportedError("no file.", report, ["a result"])
    assert isinstance(error, InputError) and str(error) == "no file."
    assert error.report is report and error.results == ("a result",)
