"""What is done after training, step by step: one that fails is noted, the others go on."""

import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from utils.atomic import is_full
from utils.causes import explanation
from utils.command import DISK_FULL, notes
from utils.errors import InputError
from utils.report import Failure, Report

_Result = TypeVar("_Result")


class Steps:
    """Runs steps and keeps what failed.

    Args:
        debug: show the traceback of what fails.

    Attributes:
        failures: the steps that failed, for the report.
        seconds: time spent per step, by name.
    """

    def __init__(self, *, debug: bool = False) -> None:
        self.failures: list[Failure] = []
        self.seconds: dict[str, float] = {}
        self._debug = debug

    def run(self, step: str, work: Callable[[], _Result], default: _Result) -> _Result:
        """Do a step.

        Args:
            step: its name in the report.
            work: what to do.
            default: what to go on with where it fails.

        Returns:
            What `work` returns, or `default`.
        """
        start = time.perf_counter()
        try:
            return work()
        except Exception as error:  # hours of training came before: nothing may undo them
            self.failed(step, error)
            return default
        finally:
            spent = time.perf_counter() - start
            self.seconds[step] = self.seconds.get(step, 0.0) + spent

    def failed(self, step: str, error: Exception) -> None:
        """Note a failure."""
        reason = str(error) if isinstance(error, InputError) else explanation(error)
        if is_full(error):
            reason = DISK_FULL
        self.failures.append(Failure(step=step, reason=" ".join(reason.split())))
        if self._debug:
            notes.print(traceback.format_exc(), markup=False)


class ReportedError(InputError):
    """Something failed after training; the network and the report are there.

    Attributes:
        report: the report, which says the same and all that could be found out.
        results: what came of every exported file, each a `CheckResult`.
    """

    def __init__(self, message: str, report: Report, results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.report = report
        self.results = tuple(results)
