"""Pictures of what was gained and what it cost: accuracy against size and time, class by class."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import EngFormatter

from utils.report.file_schema import File
from utils.report.schema import ClassChange, Report, Search
from utils.report.svg import BETTER, FIRST, REST, SECOND, SOFT, WORSE, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COSTS = {
    "Accuracy against size": ("file_bytes", 1e-3, "size of the file, kB"),
    "Accuracy against time": ("latency_ms_p50", 1.0, "time of one sample on this machine, ms"),
}
_MARKERS = "osD^v"  # of the kinds of files, in their order
#: Classes that a picture shows at most: those that changed most.
MAX_CLASSES = 40


def trade_off_plots(report: Report) -> list[tuple[str, Callable[[], str]]]:
    """List the pictures of all exported files, and of candidates, by accuracy and cost.

    Args:
        report: the report.

    Returns:
        Caption and what draws it; "" is drawn where fewer than two files are known.
    """
    files = [(caption, functools.partial(_trade_off, report.files, caption)) for caption in _COSTS]
    searches = [
        (
            f"Candidates of the search by {search.agent}",
            functools.partial(candidates_plot, search, f"candidates-{number}"),
        )
        for number, search in enumerate(report.searches)
    ]
    return [*files, *searches]


def _trade_off(files: Sequence[File], caption: str) -> str:
    field, factor, label = _COSTS[caption]
    known = [file for file in files if getattr(file, field) and file.top1 is not None]
    if len(known) < 2:
        return ""

    kinds = list(dict.fromkeys(file.kind for file in known))

    def fill(figure: Figure) -> None:
        axes = figure.subplots()
        for kind in kinds:
            places = {
                file.network: (factor * getattr(file, field), 100 * float(file.top1 or 0))
                for file in known
                if file.kind == kind
            }
            if len(places) == 2:
                axes.annotate(
                    "",
                    places["after"],
                    places["before"],
                    arrowprops={"arrowstyle": "->", "color": SOFT, "shrinkA": 4, "shrinkB": 4},
                )
        for marker, kind in zip(itertools.cycle(_MARKERS), kinds, strict=False):
            for file in (file for file in known if file.kind == kind):
                _point(axes, file, factor * getattr(file, field), marker)
        figure.legend(loc="outside upper right", ncols=min(len(kinds), 4))
        axes.set_xlim(0, 1.1 * max(factor * getattr(file, field) for file in known))
        axes.margins(y=0.25)
        axes.set_xlabel(label)
        axes.set_ylabel("top-1, %")
        axes.grid()
        axes.set_axisbelow(True)

    about = f"{caption}: " + "; ".join(
        f"{file.kind} {file.network} {100 * float(file.top1 or 0):.2f} % at "
        f"{factor * getattr(file, field):.3g}"
        for file in known
    )
    return picture(field.replace("_", "-"), f"{about} ({label}).", 3.0, fill)


def _point(axes: Axes, file: File, place: float, marker: str) -> None:
    """Draw a file with the 95 % interval of its accuracy; hollow is the network before."""
    top1, after = 100 * float(file.top1 or 0), file.network == "after"
    colour = FIRST if file.kind == "float32" else SECOND
    if file.top1_interval is not None:
        ends = (100 * file.top1_interval.low, 100 * file.top1_interval.high)
        axes.plot([place, place], ends, color=colour, linewidth=0.8, alpha=0.5)
    axes.plot(
        place,
        top1,
        marker,
        ms=7,
        mew=1.5,
        color=colour,
        markerfacecolor=colour if after else "none",
        label=f"{file.kind} {file.network}",
    )


def candidates_plot(search: Search, identity: str) -> str:
    """Draw the trials of a search by accuracy and cost, and what the two compared ones reach.

    Args:
        search: one of the report's searches.
        identity: prefix of the ids, different for each search.

    Returns:
        SVG, or "" where costs or accuracies are not known.
    """
    kind = next((name for trial in search.rollouts for name in trial.cost), None)
    tried = [
        (trial.cost[kind], 100 * trial.accuracy)
        for trial in search.rollouts
        if kind is not None and kind in trial.cost and trial.accuracy is not None
    ]
    if kind is None or not tried:
        return ""
    compared = [
        (label, marker, each.cost[kind], 100 * each.top1)
        for label, marker, each in (
            ("uniform, tuned", "s", search.uniform),
            ("found, tuned", "o", search.winner),
        )
        if each is not None and each.top1 is not None and kind in each.cost
    ]

    named = [
        (each.label, each.cost[kind], 100 * each.accuracy, each.kept)
        for each in search.compared
        if each.accuracy is not None and kind in each.cost
    ]

    def fill(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(*zip(*tried, strict=True), ".", color=SOFT, ms=4, label="tried, not tuned")
        for label, marker, cost, top1 in compared:
            axes.plot(cost, top1, marker, color=SECOND if marker == "s" else FIRST, label=label)
        for marker, (label, cost, top1, kept) in zip(itertools.cycle("o^vD"), named, strict=False):
            color = FIRST if kept else SECOND
            axes.plot(cost, top1, marker, color=color, label=f"{label}, kept" if kept else label)
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.margins(x=0.1)
        axes.set_xlabel(kind)
        axes.set_ylabel("accuracy, %")
        axes.grid()
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper right", ncols=3)

    others = "".join(f" {label}: {top1:.2f} % at {cost:.4g}." for label, cost, top1, _ in named)
    best = max(accuracy for _, accuracy in tried)
    about = (
        f"{len(tried)} candidates of the {search.agent} search by accuracy on held-out images and "
        f"{kind}; the best reached {best:.2f} % before tuning.{others}"
    )
    return picture(identity, about, 3.0, fill)


def class_plot(classes: Sequence[ClassChange]) -> str:
    """Draw, class by class, how many samples were lost and how many were gained.

    Args:
        classes: the report's classes.

    Returns:
        SVG, or "" where nothing changed.
    """
    changed = [each for each in classes if each.lost or each.gained]
    if not changed:
        return ""
    shown = sorted(changed, key=lambda each: -(each.lost + each.gained))[:MAX_CLASSES]
    shown.sort(key=lambda each: each.label)

    def fill(figure: Figure) -> None:
        axes = figure.subplots()
        rows = range(len(shown))
        axes.barh(rows, [-each.lost for each in shown], height=0.72, color=WORSE)
        axes.barh(rows, [each.gained for each in shown], height=0.72, color=BETTER)
        axes.axvline(0, color=REST, linewidth=0.8)
        for row, each in zip(rows, shown, strict=True):
            if each.lost:
                axes.text(-each.lost, row, f"{each.lost}  ", ha="right", va="center", fontsize=8.5)
            if each.gained:
                axes.text(each.gained, row, f"  {each.gained}", va="center", fontsize=8.5)
        axes.set_yticks(rows, [f"class {each.label}" for each in shown], fontsize=8.5)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.margins(x=0.2)
        axes.set_xticks([])
        axes.set_xlabel("right before only (left), right after only (right)")
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)

    lost, gained = (sum(getattr(each, way) for each in changed) for way in ("lost", "gained"))
    about = (
        f"Samples by class: {lost} were right before and are wrong after, {gained} the other way "
        f"round, in {len(changed)} of {len(classes)} classes."
    )
    return picture("classes", about, 0.75 + 0.2 * len(shown), fill)
