"""The report as Python and notebooks show it."""

from __future__ import annotations

import dataclasses

from utils.report import schema
from utils.report.console import plain_text
from utils.report.two_by_two import as_html


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(schema.Report):
    """What a run gained and what it cost; `print(report)` shows it in short."""

    def __str__(self) -> str:
        """Give the table of float and int8, before and after, and the verdict."""
        return plain_text(self)

    def _repr_html_(self) -> str:
        """Give the same to a notebook."""
        return as_html(self)
