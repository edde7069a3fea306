"""What a report's numbers mean, in sentences: gains, losses, failed checks, what is unknown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from utils.report import formats
from utils.report.comparison import LATENCY_NOISE, NOTABLE_SPARSITY, SIZE_NOISE
from utils.report.schema import Report, TfliteFile

#: From most to least urgent; also the order on the page.
LEVELS = ("problem", "warning", "unknown", "gain", "note")

#: Zeros are called the run's doing when the sparsity rose by at least this much.
_SPARSITY_RISE = 0.05

#: Accuracy that is worth a warning when lost.
_NOTABLE_LOSS = 0.01


@dataclasses.dataclass(frozen=True)
class Finding:
    """A sentence on the result.

    Attributes:
        level: "problem" (do not ship), "warning" (worse than before or not what one would expect),
            "unknown" (not measured), "gain", "note".
        text: the sentence.
    """

    level: str
    text: str


def findings(report: Report) -> list[Finding]:
    """Say in words what the numbers of a report mean.

    Args:
        report: the report.

    Returns:
        Sentences, the most urgent first.
    """
    found: list[Finding] = []
    for rule in _RULES:
        found += rule(report)
    found += [Finding("note", note) for note in report.notes]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def _accuracy(report: Report) -> Iterator[Finding]:
    before, after = report.before.top1, report.after.top1
    if after is None and not report.after.metrics:
        yield Finding("unknown", "Accuracy was not measured.")
    elif before is not None and after is not None:
        texts = f"from {formats.percent(before)} to {formats.percent(after)}"
        change = formats.points(abs(after - before)).lstrip("+")
        if after < before:
            level = "warning" if before - after >= _NOTABLE_LOSS else "note"
            yield Finding(level, f"Accuracy fell by {change}, {texts}.")
        elif after > before:
            yield Finding("gain", f"Accuracy rose by {change}, {texts}.")
        else:
            yield Finding("gain", f"Accuracy is unchanged at {formats.percent(after)}.")


def _work(report: Report) -> Iterator[Finding]:
    before, after = report.before, report.after
    if before.flops and after.flops < before.flops:
        parts = [f"{formats.percent(after.flops / before.flops)} of the multiply-adds"]
        if before.params:
            parts.append(f"{formats.percent(after.params / before.params)} of the parameters")
        yield Finding("gain", f"{' and '.join(parts)} are left.")
    elif before.flops and after.flops > before.flops:
        change = formats.times(before.flops, after.flops)
        yield Finding("warning", f"The network does more work than before: {change} the FLOPs.")


def _latency(report: Report) -> Iterator[Finding]:
    before, after = report.before, report.after
    old, new = before.latency_ms_p50, after.latency_ms_p50
    if not old or new is None:
        yield Finding(
            "unknown",
            "Latency was not measured before and after: whether the network is faster is unknown.",
        )
        return
    texts = f"{formats.milliseconds(new)} against {formats.milliseconds(old)}"
    change = formats.times(old, new)
    fewer = after.flops < before.flops
    work = formats.times(before.flops, after.flops)
    if new > old * (1 + LATENCY_NOISE):
        although = f", although it has only {work} the FLOPs" if fewer else ""
        yield Finding("warning", f"Slower than before: {texts} ({change}){although}.")
    elif new >= old * (1 - LATENCY_NOISE):
        level, although = ("warning", f", although FLOPs fell to {work}") if fewer else ("note", "")
        yield Finding(level, f"No faster than before: {texts} ({change}){although}.")
    else:
        yield Finding("gain", f"Faster than before: {texts} ({change}).")


def _sparsity(report: Report) -> Iterator[Finding]:
    before, after = report.before, report.after
    if after.sparsity - before.sparsity < _SPARSITY_RISE:
        if after.sparsity >= NOTABLE_SPARSITY and before.sparsity >= _SPARSITY_RISE:
            yield Finding("note", f"{formats.percent(after.sparsity)} of the weights are zero.")
        return
    text = (
        f"{formats.percent(after.sparsity)} of the weights are zero. No speed-up expected from "
        "that: the interpreter multiplies by scattered zeros like by any number. The gain is in "
        "size, and only after compression"
    )
    old, new = before.file_bytes_deflated, after.file_bytes_deflated
    if old is not None and new is not None:
        text += f": {formats.size(new)} deflated, {formats.size(old)} before"
    yield Finding("warning", f"{text}.")


def _size(report: Report) -> Iterator[Finding]:
    before, after = report.before, report.after
    pairs = (
        ("The .keras file", before.file_bytes, after.file_bytes),
        ("The deflated .keras file", before.file_bytes_deflated, after.file_bytes_deflated),
    )
    if after.file_bytes is None:
        yield Finding("unknown", "The result was not saved, so its size is unknown.")
    for name, old, new in pairs:
        if old is not None and new is not None and new > old * (1 + SIZE_NOISE):
            texts = f"{formats.size(new)} against {formats.size(old)}"
            yield Finding(
                "warning", f"{name} is bigger than before: {texts} ({formats.times(old, new)})."
            )


def _exports(report: Report) -> Iterator[Finding]:
    if not report.tflite:
        yield Finding(
            "unknown",
            "No .tflite file was exported: accuracy, size and latency on a device are unknown.",
        )
    floats = [file for file in report.tflite if file.kind == "float32"]
    for file in report.tflite:
        yield from _check(file)
        if file.latency_ms_p50 is None:
            yield Finding("unknown", f"The latency of the {file.kind} .tflite was not measured.")
        yield from _against_float(file, floats)


def _check(file: TfliteFile) -> Iterator[Finding]:
    """Say whether the file does what the Keras model does."""
    facts = []
    if file.agreement is not None:
        facts.append(f"names the same class for {formats.percent(file.agreement)} of the samples")
    if file.gap is not None:
        verb = "loses" if file.gap >= 0 else "gains"
        amount = formats.points(abs(file.gap)).lstrip("+") if file.gap else "no accuracy"
        facts.append(f"{verb} {amount}")
    said = f" It {' and '.join(facts)}." if facts else ""
    if file.passed is False:
        yield Finding(
            "problem",
            f"The {file.kind} .tflite failed its check against the Keras model: do not ship it."
            f"{said}",
        )
    elif file.passed is None:
        yield Finding(
            "unknown", f"The {file.kind} .tflite was not checked in the interpreter.{said}"
        )
    else:
        yield Finding("gain", f"The {file.kind} .tflite passed its check.{said}")


def _against_float(file: TfliteFile, floats: list[TfliteFile]) -> Iterator[Finding]:
    """Warn when a quantized file gains nothing over the float one."""
    for other in floats:
        if other is file:
            continue
        old, new = other.latency_ms_p50, file.latency_ms_p50
        if old and new is not None and new > old * (1 + LATENCY_NOISE):
            yield Finding(
                "warning",
                f"The {file.kind} .tflite is slower than the float32 one on this machine: "
                f"{formats.milliseconds(new)} against {formats.milliseconds(old)}.",
            )
        if file.file_bytes > other.file_bytes:
            yield Finding(
                "warning",
                f"The {file.kind} .tflite is bigger than the float32 one: "
                f"{formats.size(file.file_bytes)} against {formats.size(other.file_bytes)}.",
            )


def _capability(report: Report) -> Iterator[Finding]:
    number = len({item.layer for item in report.capability if item.action != "cut"})
    if number:
        layers = "1 layer is" if number == 1 else f"{number} layers are"
        yield Finding("note", f"{layers} of a kind or in a place that is never cut; see below.")


def _search(report: Report) -> Iterator[Finding]:
    search = report.search
    if search is None:
        return
    failed = sum(rollout.reward is None for rollout in search.rollouts)
    if failed:
        yield Finding("note", f"{failed} of {len(search.rollouts)} search trials failed.")
    if search.winner is None:
        yield Finding("warning", "The search found no setting that works.")
    elif search.kept == "uniform":
        yield Finding(
            "note",
            f"The setting found by the {search.agent} search was no better than the uniform one on "
            "held-out images, after the same fine-tuning; uniform was kept.",
        )
    elif search.winner.top1 is not None and search.uniform and search.uniform.top1 is not None:
        change = formats.points(search.winner.top1 - search.uniform.top1)
        yield Finding(
            "gain", f"The setting found by the {search.agent} search is {change} over uniform."
        )


_RULES: tuple[Callable[[Report], Iterator[Finding]], ...] = (
    _accuracy,
    _work,
    _latency,
    _sparsity,
    _size,
    _exports,
    _capability,
    _search,
)
