"""Numbers as people read them."""

from __future__ import annotations

from typing import Protocol

MISSING = "–"


class Range(Protocol):
    """Both ends of an interval."""

    @property
    def low(self) -> float:
        """Lower end."""

    @property
    def high(self) -> float:
        """Upper end."""


class Figure(Range, Protocol):
    """A figure with its interval."""

    @property
    def value(self) -> float:
        """The figure."""


def percent(fraction: float | None) -> str:
    """Write a fraction in percent.

    Example:
        >>> percent(0.9173), percent(None)
        ('91.73 %', '–')
    """
    return MISSING if fraction is None else f"{100 * fraction:.2f} %"


def share(fraction: float | None) -> str:
    """Write a fraction in percent, shortly.

    Example:
        >>> share(0.9173), share(0.0), share(None)
        ('91.7 %', '0 %', '–')
    """
    return MISSING if fraction is None else f"{100 * fraction:.1f} %" if fraction else "0 %"


def fact(value: str | float | bool | None) -> str:
    """Write what a learner says of a layer.

    Example:
        >>> fact(0.03127), fact(4), fact("kept"), fact(None), fact(True)
        ('0.031', '4', 'kept', '–', 'yes')
    """
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def points(change: float) -> str:
    """Write a difference of fractions in percentage points.

    Example:
        >>> points(-0.008), points(0.0123)
        ('-0.80 points', '+1.23 points')
    """
    text = f"{100 * change:+.2f}"
    return f"{'0.00' if float(text) == 0 else text} points"


def percent_range(bounds: Range | None) -> str:
    """Write an interval of fractions in percent.

    Example:
        >>> from utils.intervals import Interval
        >>> percent_range(Interval(0.91183, 0.92248)), percent_range(None)
        ('91.2–92.2', '–')
    """
    return MISSING if bounds is None else f"{100 * bounds.low:.1f}–{100 * bounds.high:.1f}"


def points_range(change: Figure) -> str:
    """Write a difference of fractions in percentage points, with its interval.

    Example:
        >>> from types import SimpleNamespace
        >>> points_range(SimpleNamespace(value=-0.0232, low=-0.028, high=-0.0184))
        '-2.32 points [-2.80, -1.84]'
    """
    return f"{points(change.value)} [{100 * change.low:.2f}, {100 * change.high:.2f}]"


def times_range(ratio: Figure) -> str:
    """Write a ratio with its interval.

    Example:
        >>> from types import SimpleNamespace
        >>> times_range(SimpleNamespace(value=0.69, low=0.665, high=0.715))
        '0.69x [0.67, 0.71]'
    """
    return f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def count(number: float | None) -> str:
    """Write a count with three digits.

    Example:
        >>> count(269722), count(40_813_184), count(0), count(None)
        ('270 k', '40.8 M', '0', '–')
    """
    return MISSING if number is None else _scaled(number, ("", " k", " M", " G", " T"))


def channels(number: int | None) -> str:
    """Write a number of channels, whole.

    Example:
        >>> channels(4096), channels(None)
        ('4096', '–')
    """
    return MISSING if number is None else str(number)


def size(num_bytes: float | None) -> str:
    """Write a size in bytes, kB = 1000 bytes.

    Example:
        >>> size(1_093_120), size(58)
        ('1.09 MB', '58 B')
    """
    if num_bytes is None:
        return MISSING
    return _scaled(num_bytes, (" B", " kB", " MB", " GB", " TB"))


def _scaled(number: float, units: tuple[str, ...]) -> str:
    """Divide by 1000 as long as there is a unit for it; three digits, whole below 1000."""
    if number < 1000:
        return f"{number:.0f}{units[0]}"
    for unit in units[1:]:
        number /= 1000
        # 999.6 would be written as 1000: that is for the next unit.
        if number < 999.5 or unit == units[-1]:
            break
    digits = 0 if number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f}{unit}"


def milliseconds(value: float | None) -> str:
    """Write a time given in milliseconds.

    Example:
        >>> milliseconds(0.43), milliseconds(12.345), milliseconds(None)
        ('0.430 ms', '12.3 ms', '–')
    """
    if value is None:
        return MISSING
    digits = 3 if value < 1 else 2 if value < 10 else 1
    return f"{value:.{digits}f} ms"


def duration(seconds: float) -> str:
    """Write a time given in seconds.

    Example:
        >>> duration(3.21), duration(75), duration(7380)
        ('3.2 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def times(before: float | None, after: float | None) -> str:
    """Write how large `after` is in terms of `before`.

    Example:
        >>> times(40.8, 20.4), times(0, 3), times(None, 3)
        ('0.50x', '', '')
    """
    return "" if not before or after is None else f"{after / before:.2f}x"


def figure(value: float) -> str:
    """Write a metric of unknown kind.

    Example:
        >>> figure(0.70912), figure(2)
        ('0.7091', '2')
    """
    return f"{value:.4g}"
