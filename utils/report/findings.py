"""What a report's numbers mean, in sentences: gains, losses, failed checks, what is unknown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from utils.export.exporters import is_timed
from utils.latency import NOISE as LATENCY_NOISE
from utils.report import formats
from utils.report.comparison import NOTABLE_SPARSITY, SIZE_NOISE, is_clear
from utils.report.file_schema import Estimate, File, OnDevice
from utils.report.schema import Report

#: From most to least urgent; also the order on the page.
LEVELS = ("problem", "warning", "unknown", "gain", "note")

#: Zeros are called the run's doing when the sparsity rose by at least this much.
_SPARSITY_RISE = 0.05

_NUM_NAMED = 3  # operators that a sentence lists

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


def _failures(report: Report) -> Iterator[Finding]:
    for failure in report.failures:
        yield Finding("problem", f"The step {failure.step} failed: {failure.reason}")


def _accuracy(report: Report) -> Iterator[Finding]:
    before, after, change = report.before.top1, report.after.top1, report.after.change
    if after is None and not report.after.metrics:
        yield Finding("unknown", "Accuracy was not measured.")
    elif before is not None and after is not None:
        texts = f"from {formats.percent(before)} to {formats.percent(after)}"
        amount = formats.points(abs(after - before)).lstrip("+")
        if after == before:
            yield Finding("gain", f"Accuracy is unchanged at {formats.percent(after)}.")
        elif change is not None and 0.0 in change:
            yield Finding(
                "note",
                f"Accuracy changed by {amount}, {texts}: less than {_samples(report)} can tell "
                f"from chance{_interval(change)}.",
            )
        elif after < before:
            level = "warning" if before - after >= _NOTABLE_LOSS else "note"
            yield Finding(level, f"Accuracy fell by {amount}, {texts}{_interval(change)}.")
        else:
            yield Finding("gain", f"Accuracy rose by {amount}, {texts}{_interval(change)}.")
            yield from _not_trained_out(report)


def _not_trained_out(report: Report) -> Iterator[Finding]:
    """Say what an accuracy that rose does not say."""
    if report.control is None:
        yield Finding(
            "warning",
            "A network that gains by compression had not been trained out: how much compression "
            "itself costs is not known. --control trains the network before for as long and "
            "compares with that.",
        )


def _control(report: Report) -> Iterator[Finding]:
    control, after, change = report.control, report.after.top1, report.versus_control
    if control is None or control.top1 is None or after is None:
        return
    text = (
        "Trained for as long as the compressed one, the network before reaches "
        f"{formats.percent(control.top1)}"
    )
    amount = formats.points(abs(after - control.top1)).lstrip("+")
    if change is not None and 0.0 in change:
        yield Finding("gain", f"{text}; the compressed one is level with it{_interval(change)}.")
    elif after < control.top1:
        level = "warning" if control.top1 - after >= _NOTABLE_LOSS else "note"
        yield Finding(level, f"{text}; against it, compression costs {amount}{_interval(change)}.")
    else:
        yield Finding("gain", f"{text}; the compressed one is {amount} over it{_interval(change)}.")


def _interval(change: Estimate | None) -> str:
    if change is None:
        return ""
    return f" (95 % interval {100 * change.low:+.2f} to {100 * change.high:+.2f})"


def _samples(report: Report) -> str:
    number = report.after.num_samples
    return "the samples" if number is None else f"{number:,} samples"


def _work(report: Report) -> Iterator[Finding]:
    before, after = report.before, report.after
    if not before.flops or after.flops is None:
        return
    if after.flops < before.flops:
        parts = [f"{formats.percent(after.flops / before.flops)} of the multiply-adds"]
        if before.params:
            parts.append(f"{formats.percent(after.params / before.params)} of the parameters")
        yield Finding("gain", f"{' and '.join(parts)} are left.")
    elif after.flops > before.flops:
        change = formats.times(before.flops, after.flops)
        yield Finding("warning", f"The network does more work than before: {change} the FLOPs.")


def _latency(report: Report) -> Iterator[Finding]:
    compared = [
        found
        for kind in report.kinds
        for found in _latency_of(report, report.file(kind, "before"), report.file(kind))
    ]
    yield from compared
    if not compared:
        yield Finding(
            "unknown",
            "Latency was not measured before and after: whether the network is faster is unknown.",
        )


def _latency_of(report: Report, before: File | None, after: File | None) -> Iterator[Finding]:
    """Compare a kind of file with the same kind of the network before."""
    if before is None or after is None or not before.latency_ms_p50 or not after.latency_ms_p50:
        return
    old, new, ratio = before.latency_ms_p50, after.latency_ms_p50, after.latency_ratio
    if ratio is None:
        clear, factor = abs(new - old) > LATENCY_NOISE * old, new / old
    else:
        clear, factor = is_clear(ratio), ratio.value
    times = formats.times(old, new) if ratio is None else formats.times_range(ratio)
    text = f"than before: {formats.milliseconds(new)} against {formats.milliseconds(old)} ({times})"
    fewer = bool(report.before.flops and (report.after.flops or 0) < report.before.flops)
    work = formats.times(report.before.flops, report.after.flops)
    subject = f"The {after.kind} file is"
    if clear and factor < 1:
        yield Finding("gain", f"{subject} faster {text}.")
    elif clear:
        although = f", although it has only {work} the FLOPs" if fewer else ""
        yield Finding("warning", f"{subject} slower {text}{although}.")
    else:
        level, although = ("warning", f", although FLOPs fell to {work}") if fewer else ("note", "")
        yield Finding(level, f"{subject} no faster {text}{although}.")


def _sparsity(report: Report) -> Iterator[Finding]:
    before, after = report.before, report.after
    share = f"{formats.percent(after.sparsity)} of the weights are zero"
    if after.sparsity - before.sparsity < _SPARSITY_RISE:
        if after.sparsity >= NOTABLE_SPARSITY and before.sparsity >= _SPARSITY_RISE:
            yield Finding("note", f"{share}.")
        return
    if after.scattered_zeros is not None and after.scattered_zeros < _SPARSITY_RISE:
        yield Finding(
            "warning",
            f"{share}, nearly all of them whole channels. Zeros alone make nothing faster; a "
            "network without these channels computes the same, and in less time.",
        )
        return
    text = (
        f"{share}. No speed-up expected from that: the interpreter multiplies by scattered zeros "
        "like by any number. The gain is in size, and only after compression"
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


def _passed(report: Report) -> Iterator[Finding]:
    """Say in one sentence which files do what the Keras model does."""
    files = [file for file in report.files if file.network == "after" and file.failed is None]
    passed = [file for file in files if file.passed]
    if not passed:
        return
    kinds = [file.kind for file in passed]
    subject, its = ("file", "its check") if len(kinds) == 1 else ("files", "their checks")
    said: dict[str, list[str]] = {}
    for file in passed:
        said.setdefault(_against_keras(file), []).append(file.kind)
    facts = [(_and(same), fact) for fact, same in said.items() if fact]
    if len(facts) == 1:
        text = f": {facts[0][1]}"
    else:
        text = "".join(f"{'; ' if k else '. '}{who}: {fact}" for k, (who, fact) in enumerate(facts))
    yield Finding("gain", f"The {_and(kinds)} {subject} passed {its}{text}.")


def _and(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _exports(report: Report) -> Iterator[Finding]:
    if not report.files:
        yield Finding(
            "unknown",
            "No file was exported: accuracy, size and latency on a device are unknown.",
        )
    for file in report.files:
        if file.network == "before":
            if file.failed:
                yield Finding(
                    "note",
                    f"The {file.kind} file has nothing to be compared with: of the network before "
                    f"there is none, because {file.failed}",
                )
            continue
        if file.failed is not None or not file.passed:
            yield from _check(file)
        if file.failed is None:
            if file.latency_ms_p50 is None and is_timed(file.kind):
                yield Finding("unknown", f"The latency of the {file.kind} file was not measured.")
            yield from _against_float(file, report.file("float32"))
            yield from _on_device(file, report.file(file.kind, "before"))
            yield from (Finding("note", note) for note in file.notes)


def _check(file: File) -> Iterator[Finding]:
    """Say whether the file does what the Keras model does."""
    if file.failed is not None:
        yield Finding("problem", f"There is no {file.kind} file: {file.failed}")
        return
    facts = _against_keras(file)
    said = f": {facts}." if facts else "."
    if file.passed is False:
        yield Finding(
            "problem",
            f"The {file.kind} file failed its check against the Keras model: do not ship it{said}",
        )
    elif file.passed is None:
        yield Finding(
            "unknown", f"The {file.kind} file was not checked against the Keras model{said}"
        )


def _against_keras(file: File) -> str:
    """Compare a file with the Keras model that it was made of."""
    facts = []
    if file.agreement is not None:
        facts.append(f"same class for {formats.percent(file.agreement)} of the samples")
    if file.gap is not None:
        way = "lost" if file.gap >= 0 else "gained"
        amount = formats.points(abs(file.gap)).lstrip("+") if file.gap else "no accuracy"
        bounds = file.gap_interval
        chance = bool(file.gap and bounds is not None and 0.0 in bounds)
        facts.append(f"{amount} {way}{', which may be chance' if chance else ''}")
    return ", ".join(facts)


def _against_float(file: File, other: File | None) -> Iterator[Finding]:
    """Warn when a quantized file gains nothing over the float one."""
    if other is None or other is file or other.failed is not None:
        return
    old, new = other.latency_ms_p50, file.latency_ms_p50
    if old and new is not None and new > old * (1 + LATENCY_NOISE):
        yield Finding(
            "warning",
            f"The {file.kind} file is slower than the float32 one on this machine: "
            f"{formats.milliseconds(new)} against {formats.milliseconds(old)}.",
        )
    if (file.file_bytes or 0) > (other.file_bytes or 0):
        yield Finding(
            "warning",
            f"The {file.kind} file is bigger than the float32 one: "
            f"{formats.size(file.file_bytes)} against {formats.size(other.file_bytes)}.",
        )


def _on_device(file: File, before: File | None) -> Iterator[Finding]:
    """Say what a file costs on the target."""
    new, old = file.on_device, None if before is None else before.on_device
    if new is None:
        return
    if new.cycles is None:
        text = f"On {new.device} the {file.kind} file runs in {formats.size(new.sram_bytes)}"
        if old is not None:
            text += f"; the file before in {formats.size(old.sram_bytes)}"
        better = old is not None and new.sram_bytes < old.sram_bytes
    else:
        text = (
            f"On {new.device} the {file.kind} file takes an estimated {new.cycles:,} cycles "
            f"({formats.milliseconds(new.milliseconds)}), {formats.size(new.sram_bytes)} of "
            f"memory, and its weights, encoded, {formats.size(new.encoded_bytes)}"
        )
        if old is not None and old.cycles is not None:
            sizes = f"{formats.size(old.sram_bytes)} and {formats.size(old.encoded_bytes)}"
            text += f"; the file before {old.cycles:,} cycles, {sizes}"
        better = old is not None and old.cycles is not None and new.cycles < old.cycles
    yield Finding("gain" if better else "note", f"{text}.")
    yield from _elsewhere(file, new)


def _elsewhere(file: File, found: OnDevice) -> Iterator[Finding]:
    """Name the operators that are not computed by what the device is chosen for."""
    if found.cpu_operators:
        number = len(found.cpu_operators)
        named = "; ".join(found.cpu_operators[:_NUM_NAMED])
        rest = f" and {number - _NUM_NAMED} more" if number > _NUM_NAMED else ""
        subject = "1 operator" if number == 1 else f"{number} operators"
        verb = "stays" if number == 1 else "stay"
        yield Finding(
            "warning",
            f"{subject} of the {file.kind} file {verb} on the CPU beside {found.device}, which "
            f"the estimate leaves out: {named}{rest}.",
        )
    if found.reference_operators:
        yield Finding(
            "note",
            f"On {found.device} these operators of the {file.kind} file have no kernels of their "
            f"own and run in slow reference kernels: {', '.join(found.reference_operators)}.",
        )


def _capability(report: Report) -> Iterator[Finding]:
    layers = {item.layer for item in report.capability}
    kept = {item.layer for item in report.capability if item.action != "cut"}
    if kept:
        verb = "keeps" if len(kept) == 1 else "keep"
        yield Finding(
            "note",
            f"{len(kept)} of {len(layers)} layers {verb} all channels that they give; "
            '"What can be cut" says why.',
        )


def _searches(report: Report) -> Iterator[Finding]:
    """Warn of searches that found nothing; what others found is a note of the learner."""
    for search in report.searches:
        failed = sum(rollout.reward is None for rollout in search.rollouts)
        if failed:
            yield Finding("note", f"{failed} of {len(search.rollouts)} search trials failed.")
        if search.winner is None:
            yield Finding("warning", "The search found no setting that works.")


_RULES: tuple[Callable[[Report], Iterator[Finding]], ...] = (
    _failures,
    _accuracy,
    _control,
    _work,
    _latency,
    _sparsity,
    _size,
    _passed,
    _exports,
    _capability,
    _searches,
)
