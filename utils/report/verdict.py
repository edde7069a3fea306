"""The verdict on a run in one sentence: what was gained, what it cost, which file to ship."""

from __future__ import annotations

import pathlib

from utils.report import formats
from utils.report.comparison import (
    NOTABLE_SPARSITY,
    SIZE_NOISE,
    decided_deflated,
    deployed_file,
)
from utils.report.file_schema import File
from utils.report.schema import Report

#: A share of the compute this close to a half is called half.
_NEAR = 0.02


def verdict(report: Report) -> str:
    """Say in one sentence what a run gained, what that cost, and which file to ship.

    Args:
        report: the report.

    Returns:
        Such as "Half the compute; 1 of 359 samples lost, within noise; ship model_int8.tflite,
        68 kB."
    """
    file = deployed_file(report)
    parts = (_gain(report, file), _cost(report, file), _advice(report, file))
    text = "; ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:]}."


def _gain(report: Report, file: File | None) -> str:
    """Name the first that changed of compute, parameters, bits, zeros, size."""
    before, after = report.before, report.after
    if before.flops and after.flops and after.flops < before.flops * (1 - SIZE_NOISE):
        return f"{_share(after.flops / before.flops)} the compute"
    if before.params and after.params < before.params * (1 - SIZE_NOISE):
        return f"{_share(after.params / before.params)} the parameters"
    if before.bits and after.bits and after.bits < before.bits:
        return f"{after.bits:.3g} bits a weight instead of {before.bits:.3g}"
    if after.sparsity - before.sparsity >= NOTABLE_SPARSITY:
        return f"{formats.share(after.sparsity)} of the weights are zero"
    whole = report.file("float32", "before")
    new = 0 if file is None else file.file_bytes or 0
    old = 0 if whole is None else whole.file_bytes or 0
    if new and old and new < old * (1 - SIZE_NOISE):
        return f"{_share(new / old)} the bytes of the float file"
    return "no smaller than before"


def _share(ratio: float) -> str:
    return "half" if abs(ratio - 0.5) <= _NEAR else f"{100 * ratio:.0f} % of"


def _cost(report: Report, file: File | None) -> str:
    """Count the samples that the file to ship, or without one the network, lost."""
    shipped = report.after if file is None or file.top1 is None else file
    before, after, number = report.before.top1, shipped.top1, shipped.num_samples
    if before is None or after is None:
        return "" if report.after.metrics else "accuracy was not measured"
    change = shipped.change or report.after.change
    chance = ", within noise" if change is not None and 0.0 in change else ""
    if number is None:
        return f"accuracy {formats.percent(before)} -> {formats.percent(after)}{chance}"
    lost = round((before - after) * number)
    if lost == 0:
        return f"none of {number:,} samples lost"
    return f"{abs(lost):,} of {number:,} samples {'lost' if lost > 0 else 'gained'}{chance}"


def _sizes(report: Report, file: File) -> str:
    """Write the bytes of the file to ship; with those that decided, now and before."""
    text = formats.size(file.file_bytes)
    if not decided_deflated(report) or file.file_bytes_deflated is None:
        return text
    old = report.file(file.kind, "before")
    before = None if old is None else old.file_bytes_deflated
    was = "" if before is None else f", {formats.size(before)} before"
    return f"{text} ({formats.size(file.file_bytes_deflated)} deflated{was})"


def _advice(report: Report, file: File | None) -> str:
    if report.failures:
        return f"the step {report.failures[0].step} failed, see below"
    if file is not None and file.path is not None:
        return f"ship {pathlib.PurePath(file.path).name}, {_sizes(report, file)}"
    return "no exported file passed its check" if report.files else "no file was exported"
