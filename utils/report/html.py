"""`report.html`: one file that needs nothing else, for phone, desk and paper."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shlex

import jinja2
import markupsafe

from utils.report import formats
from utils.report.comparison import Row, deployed_file, network_rows, tflite_rows
from utils.report.findings import findings
from utils.report.plots import report_plots
from utils.report.schema import Report

_LEVEL_NAMES = {
    "problem": "Problem",
    "warning": "Beware",
    "unknown": "Not known",
    "gain": "Good",
    "note": "Note",
}


@dataclasses.dataclass(frozen=True)
class Tile:
    """One of the few large figures at the top.

    Attributes:
        label: what it is.
        value: after compression.
        before: before, or another remark.
        change: the change with its word.
        verdict: see `comparison.Row`.
    """

    label: str
    value: str
    before: str
    change: str = ""
    verdict: str = ""


def render_html(report: Report) -> str:
    """Make the page.

    Args:
        report: the report. Its texts are not trusted: they are escaped.

    Returns:
        The HTML document.
    """
    # The SVG is of our making and escapes the names in it (see plots); all else is escaped.
    plots = [(caption, markupsafe.Markup(svg)) for caption, svg in report_plots(report)]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            tiles=_tiles(report),
            findings=findings(report),
            level_names=_LEVEL_NAMES,
            rows=network_rows(report),
            plots=plots,
            command=[shlex.quote(argument) for argument in report.command],
            deployed=deployed_file(report),
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(formats, name)
        for name in ("percent", "points", "size", "milliseconds", "duration")
    }
    environment.globals |= {
        "missing": formats.MISSING,
        "channels": formats.channels,
        "count": formats.count,
    }
    return environment


def _tiles(report: Report) -> list[Tile]:
    """Choose the figures that matter most: accuracy, work, size, time, the file to ship."""
    wanted = ("Top-1 accuracy", "FLOPs (multiply-adds)", "Parameters", "Latency p50, float32")
    by_label = {row.label: row for row in network_rows(report)}
    tiles = [_tile(by_label[label]) for label in wanted if label in by_label]
    file = deployed_file(report)
    if file is not None:
        facts = [row.after for row in tflite_rows(report, file) if not row.label.endswith("file")]
        tiles.append(Tile(f"{file.kind} .tflite", formats.size(file.file_bytes), ", ".join(facts)))
    return tiles


def _tile(row: Row) -> Tile:
    before = "" if row.before == formats.MISSING else f"before: {row.before}"
    return Tile(row.label, row.after, before, row.change_in_words, row.verdict)
