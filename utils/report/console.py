"""The table of before and after on the console."""

from __future__ import annotations

import os

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from utils.report.comparison import comparison_rows
from utils.report.findings import findings
from utils.report.schema import Report

_STYLES = {"better": "green", "worse": "red", "": ""}
_LEVEL_STYLES = {"problem": "bold red", "warning": "yellow", "unknown": "yellow"}
_SHOWN_LEVELS = tuple(_LEVEL_STYLES)


def summary(report: Report) -> RenderableType:
    """Make the table of before and after, and what to beware of.

    Args:
        report: the report.

    Returns:
        What rich prints; it fits into 80 columns.
    """
    title = f"{report.model_helper}: {', '.join(report.learner)}"
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title),
        title_justify="left",
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),  # 80 columns hold a change with its interval
    )
    table.add_column("")
    for heading in ("before", "after"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("change, 95 % interval", no_wrap=True)
    for row in (row for row in comparison_rows(report) if not row.detail):
        table.add_row(
            Text(row.label),
            Text(row.before),
            Text(row.after),
            Text(row.change_in_words, style=_STYLES[row.verdict]),
        )
    remarks = [
        Text.assemble((f"{finding.level}: ", _LEVEL_STYLES[finding.level]), finding.text)
        for finding in findings(report)
        if finding.level in _SHOWN_LEVELS
    ]
    return Group(table, Text(""), *remarks)


def print_summary(report: Report, page: str | os.PathLike[str], console: Console) -> None:
    """Print `summary` and where the report is.

    Args:
        report: the report.
        page: path of its `report.html`.
        console: where to; 80 columns wide when it is no terminal.
    """
    console.print(summary(report), highlight=False)
    # A path is there to be copied: in one piece, however long.
    console.print(Text(f"Report: {os.fspath(page)}"), soft_wrap=True)
