"""The table of before and after on the console."""

from __future__ import annotations

import io
import os

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from utils.report.findings import findings
from utils.report.schema import Report
from utils.report.two_by_two import grid, title
from utils.report.verdict import verdict

_LEVEL_STYLES = {"problem": "bold red", "warning": "yellow", "unknown": "yellow"}
_SHOWN_LEVELS = tuple(_LEVEL_STYLES)


def summary(report: Report) -> RenderableType:
    """Make the table of before and after, the verdict, and what to beware of.

    Args:
        report: the report.

    Returns:
        What rich prints; it fits into 80 columns.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 3, 0, 0),
    )
    for heading in ("", "before", "after"):
        table.add_column(heading, no_wrap=True)
    for row in grid(report):
        table.add_row(row.label, Text("\n".join(row.before)), Text("\n".join(row.after)))
    remarks = [
        Text.assemble((f"{finding.level}: ", _LEVEL_STYLES[finding.level]), finding.text)
        for finding in findings(report)
        if finding.level in _SHOWN_LEVELS
    ]
    return Group(
        Text(title(report)), table, Text(""), Text(verdict(report), style="bold"), *remarks
    )


def plain_text(report: Report) -> str:
    """Write `summary` as text of 80 columns without colors.

    Args:
        report: the report.
    """
    stream = io.StringIO()
    Console(file=stream, width=80, color_system=None, emoji=False).print(
        summary(report), highlight=False
    )
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


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
