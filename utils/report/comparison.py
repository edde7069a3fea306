"""The comparison of before and after, row by row, for the page and the console alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from utils.export.exporters import is_timed
from utils.latency import NOISE as LATENCY_NOISE
from utils.report import formats
from utils.report.file_schema import Estimate, File
from utils.report.schema import Network, Report

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
        change: such as "0.50x" or "-0.80 points", with its interval where there is one; empty when
            nothing can be compared.
        word: the change in a word: "smaller", "slower" …, "unclear" where chance may have made it;
            empty when there is none.
        verdict: "better", "worse" or "" (equal, unclear, or a matter of taste).
        detail: a row of the page that a screen has no room for.
    """

    label: str
    before: str
    after: str
    change: str = ""
    word: str = ""
    verdict: str = ""
    detail: bool = False

    @property
    def change_in_words(self) -> str:
        """Change and word together."""
        return ", ".join(part for part in (self.change, self.word) if part)


def comparison_rows(report: Report) -> list[Row]:
    """Compare everything: the Keras models, then each kind of file with its own kind.

    Args:
        report: the report.

    Returns:
        Rows; a figure that neither side has gets none.
    """
    rows = network_rows(report)
    for kind in report.kinds:
        rows += file_rows(report, kind)
    return rows


def network_rows(report: Report) -> list[Row]:
    """Compare the Keras models.

    Args:
        report: the report.

    Returns:
        Rows; a figure that neither network has gets none.
    """
    before, after = report.before, report.after
    rows = [*_quality_rows(before, after), *_control_rows(report)]
    rows.append(_quantity("Parameters", before.params, after.params, formats.count))
    if max(before.sparsity, after.sparsity) >= NOTABLE_SPARSITY:
        rows.append(
            _quantity("Non-zero parameters", before.nonzeros, after.nonzeros, formats.count)
        )
    if before.bits is not None and after.bits is not None and before.bits != after.bits:
        rows.append(_ratio_row("Bits per weight", before.bits, after.bits, _bits, _FEWER))
    rows += [
        _quantity("FLOPs (multiply-adds)", before.flops, after.flops, formats.count),
        *_sparse_flops(before, after),
        _quantity(
            "Activations at once", before.peak_activations, after.peak_activations, formats.count
        ),
        _size(".keras file", before.file_bytes, after.file_bytes),
        _size(".keras file, deflated", before.file_bytes_deflated, after.file_bytes_deflated),
    ]
    return _known(rows)


def file_rows(report: Report, kind: str) -> list[Row]:
    """Compare a kind of file of the network before with the same kind of the one after.

    Args:
        report: the report.
        kind: int8 with int8, never with float.

    Returns:
        Rows for accuracy, size and latency.
    """
    before, after = report.file(kind, "before"), report.file(kind)
    if after is None:
        return []
    old = before or File(kind=kind, network="before")
    rows = [
        _accuracy(f"Top-1, {kind} file", old.top1, after.top1, after.change),
        _size(f"{kind} file", old.file_bytes, after.file_bytes),
        _size(f"{kind} file, deflated", old.file_bytes_deflated, after.file_bytes_deflated),
        _latency(
            f"Latency p50, {kind}", old.latency_ms_p50, after.latency_ms_p50, after.latency_ratio
        ),
        dataclasses.replace(
            _latency(f"Latency p95, {kind}", old.latency_ms_p95, after.latency_ms_p95, None),
            detail=True,
        ),
        *_device_rows(old, after),
    ]
    return _known(rows)


def decided_deflated(report: Report) -> bool:
    """Whether a run looked for the smallest deflated file: the bytes as they lie say less then."""
    return any(search.deflated for search in report.searches)


def deployed_file(report: Report) -> File | None:
    """Choose the exported file to ship: the smallest that did not fail its check.

    With a target, the smallest that runs there. Without, one that this computer has no runtime
    for, or a slow stand-in, only where there is no other.
    """
    usable = [
        file
        for file in report.files
        if file.network == "after" and file.passed is not False and file.path is not None
    ]
    there = [file for file in usable if file.on_device is not None]
    return min(
        there or usable,
        key=lambda file: (not there and not is_timed(file.kind), file.file_bytes or 0),
        default=None,
    )


def is_clear(ratio: Estimate) -> bool:
    """Tell whether a ratio of latencies is more than noise.

    Args:
        ratio: with the spread of the measurement itself.

    Returns:
        False where the blocks of one measurement disagree, or two files of one network differ as
        much.
    """
    return 1.0 not in ratio and abs(ratio.value - 1.0) > LATENCY_NOISE


def _known(rows: list[Row]) -> list[Row]:
    return [row for row in rows if {row.before, row.after} != {formats.MISSING}]


def _quality_rows(before: Network, after: Network) -> Iterator[Row]:
    if before.top1 is not None or after.top1 is not None:
        yield _accuracy("Top-1 accuracy", before.top1, after.top1, after.change)
        bounds = before.top1_interval, after.top1_interval
        number = after.num_samples or before.num_samples
        if bounds != (None, None):
            low, high = formats.percent_range(bounds[0]), formats.percent_range(bounds[1])
            yield Row("  95 % interval", low, high, "" if number is None else f"n = {number:,}")
    for name in dict.fromkeys((*before.metrics, *after.metrics)):
        old, new = before.metrics.get(name), after.metrics.get(name)
        if name == "accuracy" and (old, new) == (before.top1, after.top1):
            continue  # the helper's name for what the row above says
        texts = [formats.MISSING if each is None else formats.figure(each) for each in (old, new)]
        # Whether more of a metric is better is not known here.
        change = "" if old is None or new is None else f"{new - old:+.4g}"
        yield Row(name, texts[0], texts[1], change)


def _control_rows(report: Report) -> Iterator[Row]:
    """Compare with the network before that was trained for as long."""
    if report.control is not None:
        label = "Top-1 beside control"
        yield _accuracy(label, report.control.top1, report.after.top1, report.versus_control)


def _accuracy(
    label: str, before: float | None, after: float | None, change: Estimate | None
) -> Row:
    texts = formats.percent(before), formats.percent(after)
    if before is None or after is None:
        return Row(label, *texts)
    if change is not None and before != after and 0.0 in change:
        return Row(label, *texts, formats.points_range(change), "unclear")
    word, verdict = _direction(before, after, ("higher", "better"), ("lower", "worse"))
    if change is None:  # without an interval nobody knows whether it is chance
        return Row(label, *texts, formats.points(after - before), word)
    return Row(label, *texts, formats.points_range(change), word, verdict)


def _sparse_flops(before: Network, after: Network) -> Iterator[Row]:
    """Compare the work that a machine would have which skips zeros, where there are any."""
    if max(before.sparsity, after.sparsity) >= NOTABLE_SPARSITY:
        yield _quantity("Non-zero FLOPs", before.sparse_flops, after.sparse_flops, formats.count)


def _device_rows(before: File, after: File) -> Iterator[Row]:
    """Compare what the files cost on the target."""
    old, new = before.on_device, after.on_device
    if new is None:
        return
    place = new.device if after.kind == "int8" else f"{new.device}, {after.kind}"
    if new.cycles is not None:
        cycles = None if old is None else old.cycles
        words = ("faster", "slower")
        yield _ratio_row(f"{place} cycles", cycles, new.cycles, formats.count, words)
    yield _size(f"{place} memory", None if old is None else old.sram_bytes, new.sram_bytes)
    if new.encoded_bytes is not None:
        encoded = None if old is None else old.encoded_bytes
        yield _size(f"{place} weights", encoded, new.encoded_bytes)


_FEWER = ("fewer", "more")


def _bits(value: float | None) -> str:
    return formats.MISSING if value is None else f"{value:.3g}"


def _quantity(
    label: str, before: int | None, after: int | None, text: Callable[[float | None], str]
) -> Row:
    return _ratio_row(label, before, after, text, _FEWER)


def _size(label: str, before: int | None, after: int | None) -> Row:
    row = _ratio_row(label, before, after, formats.size, ("smaller", "bigger"), noise=SIZE_NOISE)
    return dataclasses.replace(row, detail="deflated" in label)


def _latency(label: str, before: float | None, after: float | None, ratio: Estimate | None) -> Row:
    words = ("faster", "slower")
    if ratio is None:
        row = _ratio_row(label, before, after, formats.milliseconds, words, noise=LATENCY_NOISE)
        return dataclasses.replace(row, verdict="")  # without an interval it may be chance
    texts = formats.milliseconds(before), formats.milliseconds(after)
    change = formats.times_range(ratio)
    if not is_clear(ratio):
        return Row(label, *texts, change, "same")
    faster = ratio.value < 1.0
    return Row(label, *texts, change, words[not faster], "better" if faster else "worse")


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
