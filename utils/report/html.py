"""`report.html`: one file that needs nothing else, for phone, desk and paper."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import shlex
import urllib.parse

import jinja2
import markupsafe

from utils.report import formats
from utils.report.comparison import (
    Row,
    comparison_rows,
    deployed_file,
    file_rows,
    network_rows,
)
from utils.report.file_schema import Tensor
from utils.report.findings import findings
from utils.report.plots import report_plots, trade_offs
from utils.report.schema import Report
from utils.report.verdict import verdict

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


def render_html(report: Report, folder: str | os.PathLike[str] | None = None) -> str:
    """Make the page.

    Args:
        report: the report. Its texts are not trusted: they are escaped.
        folder: where the page will lie; files in it are linked. None links none.

    Returns:
        The HTML document.
    """
    # The SVG is of our making and escapes the names in it (see plots); all else is escaped.
    trade_off, plots = (
        [(caption, markupsafe.Markup(svg)) for caption, svg in drawn]
        for drawn in (trade_offs(report), report_plots(report))
    )
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            verdict=verdict(report),
            tiles=_tiles(report),
            findings=findings(report),
            level_names=_LEVEL_NAMES,
            rows=network_rows(report),
            file_rows={kind: file_rows(report, kind) for kind in report.kinds},
            facts=list(dict.fromkeys(name for layer in report.layers for name in layer.facts)),
            trade_off=trade_off,
            plots=plots,
            command=[shlex.quote(argument) for argument in report.command],
            link=functools.partial(_link, folder),
            changed_flags={name: report.config[name] for name in report.changed_flags},
            tensors=_tensors(report),
            digests=_digests(report),
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
        for name in ("percent percent_range points size milliseconds duration fact".split())
    }
    environment.globals |= {
        "missing": formats.MISSING,
        "channels": formats.channels,
        "share": formats.share,
        "count": formats.count,
    }
    return environment


def _link(folder: str | os.PathLike[str] | None, path: str | None) -> str:
    """Give the address of a file beside the page; "" for a file elsewhere."""
    if folder is None or path is None:
        return ""
    root, file = pathlib.Path(folder).resolve(), pathlib.Path(path).resolve()
    return urllib.parse.quote(file.relative_to(root).as_posix()) if root in file.parents else ""


def _tensors(report: Report) -> list[tuple[str, str, Tensor]]:
    """List what the files of the result take and give: kind, "input" or "output", tensor."""
    return [
        (file.kind, way, tensor)
        for file in report.files
        if file.network == "after"
        for way, tensors in (("input", file.inputs), ("output", file.outputs))
        for tensor in tensors
    ]


def _digests(report: Report) -> list[tuple[str, str]]:
    """List the files that were written with their SHA-256, by name."""
    networks = [network for network in (report.before, report.after, report.control) if network]
    written = [(each.path, each.sha256) for each in networks]
    written += [(each.path, each.sha256) for each in report.files]
    return [(pathlib.PurePath(path).name, digest) for path, digest in written if path and digest]


def _tiles(report: Report) -> list[Tile]:
    """Choose the figures that matter most: accuracy, work, size, time, the file to ship."""
    wanted = ("Top-1 accuracy", "FLOPs (multiply-adds)", "Parameters", "Latency p50, float32")
    by_label = {row.label: row for row in comparison_rows(report)}
    tiles = [_tile(by_label[label]) for label in wanted if label in by_label]
    file = deployed_file(report)
    if file is not None:
        figures = (formats.percent(file.top1), formats.milliseconds(file.latency_ms_p50))
        known = ", ".join(figure for figure in figures if figure != formats.MISSING)
        tiles.append(Tile(f"{file.kind} file", formats.size(file.file_bytes), known))
    return tiles


def _tile(row: Row) -> Tile:
    before = "" if row.before == formats.MISSING else f"before: {row.before}"
    return Tile(row.label, row.after, before, row.change_in_words, row.verdict)
