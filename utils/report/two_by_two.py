"""The table that a run ends with: float and int8, before and after."""

from __future__ import annotations

import dataclasses
import html

from utils.report import formats
from utils.report.comparison import NOTABLE_SPARSITY, decided_deflated
from utils.report.file_schema import OnDevice
from utils.report.schema import File, Network, Report
from utils.report.verdict import verdict

_WHOLE_BITS = 32  # of a weight that was not rounded
_STYLE = "text-align:left;padding:0.2em 1.2em 0.2em 0"


@dataclasses.dataclass(frozen=True)
class GridRow:
    """A kind of file, or the network itself, before and after.

    Attributes:
        label: the kind.
        before: lines of text.
        after: likewise.
    """

    label: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def title(report: Report) -> str:
    """Name the run, and the samples that its figures are of.

    Args:
        report: the report.
    """
    number = report.after.num_samples or report.before.num_samples
    counted = "" if number is None else f", n = {number:,}"
    return f"{report.model_helper} on {report.dataset}: {', '.join(report.learner)}{counted}"


def grid(report: Report) -> list[GridRow]:
    """Set every kind of file beside the same kind of the network before.

    Args:
        report: the report.

    Returns:
        A row per kind, the network itself where there are no files, and what it computes.
    """
    deflated = decided_deflated(report)
    rows = [
        GridRow(
            kind,
            _file(report.file(kind, "before"), deflated),
            _file(report.file(kind), deflated),
        )
        for kind in report.kinds
    ]
    rows += _device_rows(report)
    before, after = report.before, report.after
    if not rows:
        rows = [GridRow("Keras", _network(before), _network(after))]
    if report.control is not None:
        reached = formats.percent(report.control.top1)
        rows.append(GridRow("control", (f"{reached}, trained as long",), ()))
    return [*rows, GridRow("network", _counts(before), _counts(after))]


def _file(file: File | None, deflated: bool) -> tuple[str, ...]:
    if file is None:
        return (formats.MISSING,)
    if file.failed is not None:
        return ("could not be made",)
    facts = [formats.size(file.file_bytes)]
    if file.latency_ms_p50 is not None:
        facts.append(formats.milliseconds(file.latency_ms_p50))
    if file.passed is False:
        facts.append("failed its check")
    lines = [_quality(file), ", ".join(facts)]
    if deflated and file.file_bytes_deflated is not None:
        lines.append(f"{formats.size(file.file_bytes_deflated)} deflated")
    return tuple(lines)


def _device_rows(report: Report) -> list[GridRow]:
    """Set what files cost on the target side by side."""
    rows = []
    for kind in report.kinds:
        files = [report.file(kind, name) for name in ("before", "after")]
        costs = [None if file is None else file.on_device for file in files]
        device = next((cost.device for cost in costs if cost is not None), None)
        if device is not None:
            label = device if kind == "int8" else f"{device}, {kind}"
            rows.append(GridRow(label, _on_device(costs[0]), _on_device(costs[1])))
    return rows


def _on_device(cost: OnDevice | None) -> tuple[str, ...]:
    if cost is None:
        return (formats.MISSING,)
    lines = [] if cost.cycles is None else [f"{formats.count(cost.cycles)} cycles"]
    lines.append(f"{formats.size(cost.sram_bytes)} memory")
    if cost.encoded_bytes is not None:
        lines.append(f"{formats.size(cost.encoded_bytes)} weights")
    return tuple(lines)


def _network(network: Network) -> tuple[str, ...]:
    return (_quality(network), formats.size(network.file_bytes))


def _counts(network: Network) -> tuple[str, ...]:
    """Write what there is of a network, and what of it is zero or of few bits."""
    facts = [f"{formats.count(network.params)} parameters"]
    if network.sparsity >= NOTABLE_SPARSITY:
        facts.append(f"{formats.share(network.sparsity)} zero")
    if network.bits is not None and network.bits < _WHOLE_BITS:
        facts.append(f"{network.bits:.3g} bits")
    return (", ".join(facts), f"{formats.count(network.flops)} multiply-adds")


def _quality(measured: File | Network) -> str:
    """Write the accuracy with its interval, else the first metric."""
    if measured.top1 is not None:
        interval = measured.top1_interval
        bounds = "" if interval is None else f" ({formats.percent_range(interval)})"
        return f"{formats.percent(measured.top1)}{bounds}"
    name = next((name for name in measured.metrics if name != "loss"), "loss")
    value = measured.metrics.get(name)
    return formats.MISSING if value is None else f"{name} {formats.figure(value)}"


def as_html(report: Report) -> str:
    """Write the table and the verdict as HTML that needs no style sheet, for notebooks.

    Args:
        report: the report.
    """
    head = "".join(f'<th style="{_STYLE}">{name}</th>' for name in ("", "before", "after"))
    rows = "".join(
        f'<tr><th style="{_STYLE}">{html.escape(row.label)}</th>{_cell(row.before)}'
        f"{_cell(row.after)}</tr>"
        for row in grid(report)
    )
    return (
        f"<div><p>{html.escape(title(report))}</p><table><tr>{head}</tr>{rows}</table>"
        f"<p>{html.escape(verdict(report))}</p></div>"
    )


def _cell(lines: tuple[str, ...]) -> str:
    return f'<td style="{_STYLE}">{"<br>".join(map(html.escape, lines))}</td>'
