"""Progress of work that is not training: a bar on a terminal, now and then a line elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from utils.command import notes

_LINE_SECONDS = 5.0


class WorkProgress:
    """Shows how far a loop is, its rate and the time left; use as a context manager.

    Args:
        label: what is being done.
        unit: what is counted, in the plural.
        done: how many were done in an earlier session, which says nothing about the rate now.
    """

    def __init__(self, label: str, unit: str, *, done: int = 0) -> None:
        self._label = label
        self._unit = unit
        self._before = done
        self._start = self._shown = time.perf_counter()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if notes.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=notes,
            )
            self._bar.add_task(self._label, total=None)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int, detail: str = "") -> None:
        """Show that `done` of `total` are done; `detail` says what was last, or a metric."""
        if self._bar is not None:
            task = self._bar.task_ids[0]
            text = f"{self._label} {detail}".rstrip()
            self._bar.update(task, completed=done, total=total, description=text)
            return
        now = time.perf_counter()
        if now - self._shown < _LINE_SECONDS and done < total:
            return
        self._shown = now
        rate = max(done - self._before, 1e-9) / max(now - self._start, 1e-9)
        left = (total - done) / rate
        notes.print(
            f"{self._label}: {done}/{total} {self._unit}, {rate:.2g} a second, {left:.0f} s left"
            f"{', ' + detail if detail else ''}",
            markup=False,
        )
