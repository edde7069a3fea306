"""The comparison of before and after, row by row, for the page and the console alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from utils.report import formats
from utils.report.schema import Network, Report, TfliteFile

#: Latencies that differ by less are called equal: repeated measurements differ by as much.
LATENCY_NOISE = 0.03

#: Sizes that differ by less are called equal: names and compression alone make as much.
SIZE_NOISE = 0.02

#: Sparsity from which on zeros are worth a row or a sentence.
NOTABLE_SPARSITY = 0.01


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the comparison.

    Attributes:
        label: what is compared.
        before: its value before, as text.
        after: its value after, as text.
        change: such as "0.50x" or "-0.80 points"; empty when nothing can be compared.
        word: the change in a word: "smaller", "slower" …; empty when there is none.
        verdict: "better", "worse" or "" (equal or a matter of taste).
    """

    label: str
    before: str
    after: str
    change: str = ""
    word: str = ""
    verdict: str = ""

    @property
    def change_in_words(self) -> str:
        """Change and word together."""
        return ", ".join(part for part in (self.change, self.word) if part)


def network_rows(report: Report) -> list[Row]:
    """Compare the Keras models.

    Args:
        report: the report.

    Returns:
        Rows; a figure that neither network has gets none.
    """
    before, after = report.before, report.after
    rows = [*_quality_rows(before, after)]
    rows.append(_quantity("Parameters", before.params, after.params, formats.count))
    if max(before.sparsity, after.sparsity) >= NOTABLE_SPARSITY:
        rows.append(
            _quantity("Non-zero parameters", before.nonzeros, after.nonzeros, formats.count)
        )
    rows += [
        _quantity("FLOPs (multiply-adds)", before.flops, after.flops, formats.count),
        _size(".keras file", before.file_bytes, after.file_bytes),
        _size(".keras file, deflated", before.file_bytes_deflated, after.file_bytes_deflated),
        _latency("Latency p50, float32", before.latency_ms_p50, after.latency_ms_p50),
        _latency("Latency p95, float32", before.latency_ms_p95, after.latency_ms_p95),
    ]
    return [row for row in rows if {row.before, row.after} != {formats.MISSING}]


def tflite_rows(report: Report, file: TfliteFile) -> list[Row]:
    """Compare an exported file with the network that the run began with.

    Args:
        report: the report.
        file: one of its exported files.

    Returns:
        Rows for accuracy, size and latency. There is nothing before to compare the size with.
    """
    kind, before = file.kind, report.before
    rows = [_accuracy(f"Accuracy of {kind} .tflite", before.top1, file.top1)]
    rows.append(Row(f"{kind} .tflite file", formats.MISSING, formats.size(file.file_bytes)))
    rows.append(_latency(f"Latency p50, {kind}", before.latency_ms_p50, file.latency_ms_p50))
    return [row for row in rows if row.after != formats.MISSING]


def deployed_file(report: Report) -> TfliteFile | None:
    """Choose the exported file to ship: the smallest that did not fail its check."""
    usable = [file for file in report.tflite if file.passed is not False]
    return min(usable, key=lambda file: file.file_bytes, default=None)


def _quality_rows(before: Network, after: Network) -> Iterator[Row]:
    if before.top1 is not None or after.top1 is not None:
        yield _accuracy("Top-1 accuracy", before.top1, after.top1)
    for name in dict.fromkeys((*before.metrics, *after.metrics)):
        old, new = before.metrics.get(name), after.metrics.get(name)
        if name == "accuracy" and (old, new) == (before.top1, after.top1):
            continue  # the helper's name for what the row above says
        texts = [
            formats.MISSING if value is None else formats.figure(value) for value in (old, new)
        ]
        # Whether more of a metric is better is not known here.
        change = "" if old is None or new is None else f"{new - old:+.4g}"
        yield Row(name, texts[0], texts[1], change)


def _accuracy(label: str, before: float | None, after: float | None) -> Row:
    texts = formats.percent(before), formats.percent(after)
    if before is None or after is None:
        return Row(label, *texts)
    word, verdict = _direction(before, after, ("higher", "better"), ("lower", "worse"))
    return Row(label, *texts, formats.points(after - before), word, verdict)


def _quantity(
    label: str, before: int | None, after: int | None, text: Callable[[float | None], str]
) -> Row:
    return _ratio_row(label, before, after, text, ("fewer", "more"))


def _size(label: str, before: int | None, after: int | None) -> Row:
    words = ("smaller", "bigger")
    return _ratio_row(label, before, after, formats.size, words, noise=SIZE_NOISE)


def _latency(label: str, before: float | None, after: float | None) -> Row:
    words = ("faster", "slower")
    return _ratio_row(label, before, after, formats.milliseconds, words, noise=LATENCY_NOISE)


def _ratio_row(
    label: str,
    before: float | None,
    after: float | None,
    text: Callable[[float | None], str],
    words: tuple[str, str],
    noise: float = 0.0,
) -> Row:
    """Compare where less is better; `words` are for less and for more."""
    texts = text(before), text(after)
    if before is None or after is None:
        return Row(label, *texts)
    less, more = (words[0], "better"), (words[1], "worse")
    word, verdict = _direction(before, after, more, less, noise)
    return Row(label, *texts, formats.times(before, after), word, verdict)


def _direction(
    before: float,
    after: float,
    more: tuple[str, str],
    less: tuple[str, str],
    noise: float = 0.0,
) -> tuple[str, str]:
    if abs(after - before) <= noise * before:
        return ("same", "")
    return more if after > before else less
