"""Plots of a report: what was cut, how training and search went."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from utils.report.schema import Layer, Report, Search, TrainingPoint
from utils.report.svg import FIRST, REST, SECOND, SOFT, TEXT, picture, shortened
from utils.report.trade_off import class_plot, trade_off_plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Stage of the network before, trained for as long as the result.
CONTROL = "control"
_UNITS = {
    "channels": (100, "% removed"),
    "sparsity": (100, "% zero"),
    "bits": (1, "bits"),
    "joint": (1, "bits that are left for each weight that there was"),
}
#: More layers than this are drawn as a profile over their position, without names.
MAX_NAMED_LAYERS = 60


def channel_plot(layers: Sequence[Layer]) -> str:
    """Draw how many input channels each layer kept.

    Args:
        layers: the report's layers.

    Returns:
        SVG, or "" when no layer was cut.
    """
    counted = [
        (layer.name, layer.channels_in_after / layer.channels_in_before, layer)
        for layer in layers
        if layer.channels_in_before
        and layer.channels_in_after is not None
        # It has the channels of the layer before it: a second bar would say nothing new.
        and not layer.op.endswith("Normalization")
    ]
    if all(fraction == 1 for _, fraction, _ in counted):
        return ""
    names = [name for name, _, _ in counted]
    kept = [fraction for _, fraction, _ in counted]
    labels = [f"{layer.channels_in_after} of {layer.channels_in_before}" for *_, layer in counted]
    cut = sum(fraction < 1 for fraction in kept)
    about = f"Input channels kept per layer: {cut} of {len(kept)} layers were cut."
    if len(counted) > MAX_NAMED_LAYERS:
        return picture("channels", about, 2.6, lambda figure: _profile(figure, kept))
    height = 0.55 + 0.2 * len(counted)
    return picture("channels", about, height, lambda figure: _bars(figure, names, kept, labels))


def _bars(
    figure: Figure, names: Sequence[str], fractions: Sequence[float], labels: Sequence[str]
) -> None:
    """Bars from the top down, the whole behind, the number at the end."""
    axes = figure.subplots()
    rows = range(len(names))
    axes.barh(rows, [1.0] * len(names), height=0.72, color=REST)
    axes.barh(rows, fractions, height=0.72, color=FIRST)
    for row, label in zip(rows, labels, strict=True):
        axes.text(1.02, row, label, va="center", fontsize=8.5)
    axes.set_yticks(rows, [shortened(name) for name in names], fontsize=8.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.24)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)


def _profile(figure: Figure, fractions: Sequence[float]) -> None:
    axes = figure.subplots()
    axes.fill_between(range(len(fractions)), 1.0, step="mid", color=REST, linewidth=0)
    axes.fill_between(range(len(fractions)), fractions, step="mid", color=FIRST, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_xlim(-0.5, len(fractions) - 0.5)
    axes.set_yticks([0, 0.5, 1], ["0", "50", "100 %"])
    axes.set_xlabel("layer, in the table's order")


def training_plot(points: Sequence[TrainingPoint]) -> str:
    """Draw loss and accuracy over the epochs of all stages.

    Args:
        points: the report's training.

    Returns:
        SVG, or "" when nothing was trained.
    """
    quantities = [
        (title, key)
        for title, key in (("loss", "loss"), ("accuracy, %", "accuracy"))
        if any(_value(point, key) is not None for point in points)
    ]
    if not quantities:
        return ""
    tracks = _tracks(points)
    end = max(track.positions[-1] for track in tracks)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(quantities), 1, sharex=True, squeeze=False)
        for axes, (title, key) in zip(grid[:, 0], quantities, strict=True):
            _curves(axes, tracks, key)
            for start in sorted({track.start for track in tracks} - {0.0}):
                axes.axvline(start, color=TEXT, linewidth=0.8, linestyle=":")
            axes.set_ylabel(title)
            axes.grid(axis="y")
        _legend(grid[0, 0])
        _stage_names(grid[0, 0], [track for track in tracks if not track.beside], end)
        grid[-1, 0].set_xlim(0, end * 1.02)
        grid[-1, 0].set_xlabel("epoch")
        grid[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))

    stages = ", ".join(track.stage for track in tracks)
    about = f"Training of {stages}: {' and '.join(key for _, key in quantities)} over the epochs."
    return picture("training", about, 0.6 + 1.7 * len(quantities), draw)


def _value(point: TrainingPoint, key: str) -> float | None:
    value = getattr(point, key) if key in ("loss", "accuracy") else point.others.get(key)
    return 100 * value if value is not None and key.endswith("accuracy") else value


@dataclasses.dataclass(frozen=True)
class _Track:
    """A stage on the axis of epochs.

    Attributes:
        stage: its name.
        start: epoch at which it begins.
        points: what it reported.
        positions: where they stand; the last one of an epoch stands at the epoch's end.
        beside: it is no part of the way to the result: what that was compared with.
    """

    stage: str
    start: float
    points: Sequence[TrainingPoint]
    positions: Sequence[float]
    beside: bool


def _tracks(points: Sequence[TrainingPoint]) -> list[_Track]:
    """Place the stages, one behind the other; what was trained for comparison stands beside.

    `name:uniform` begins where `name` does; the control ends where the whole run does.
    """
    groups = {stage: list(group) for stage, group in groupby(points, key=lambda each: each.stage)}
    lengths = {stage: float(group[-1].epoch) for stage, group in groups.items()}
    beside = {
        stage
        for stage in groups
        if stage == CONTROL or (":" in stage and stage.partition(":")[0] in groups)
    }
    starts: dict[str, float] = {}
    end = 0.0
    for stage in groups:
        if stage not in beside:
            starts[stage] = end
            end += lengths[stage]
    for stage in beside:
        partner = starts.get(stage.partition(":")[0])
        starts[stage] = max(end - lengths[stage], 0.0) if partner is None else partner
    return [
        _Track(stage, starts[stage], group, _positions(group, starts[stage]), stage in beside)
        for stage, group in groups.items()
    ]


def _positions(points: Sequence[TrainingPoint], start: float) -> list[float]:
    positions: list[float] = []
    for epoch, same in groupby(point.epoch for point in points):
        number = len(list(same))
        positions += [start + epoch - 1 + (k + 1) / number for k in range(number)]
    return positions


def _curves(axes: Axes, tracks: Sequence[_Track], key: str) -> None:
    """Draw the training and, where there is one, the validation curve of every stage."""
    labelled: set[str] = set()
    for track in tracks:
        for name, label, colour, style in (
            (key, "training", FIRST, "-"),
            (f"val_{key}", "validation", SECOND, "--"),
        ):
            pairs = zip(track.positions, track.points, strict=True)
            values = [(at, _value(point, name)) for at, point in pairs]
            known = [(at, value) for at, value in values if value is not None]
            if not known:
                continue
            shown = f"{track.stage}, {label}" if track.beside else label
            axes.plot(
                *zip(*known, strict=True),
                color=SOFT if track.beside else colour,
                linestyle=style,
                linewidth=1.0 if track.beside else None,
                zorder=1 if track.beside else 2,
                marker="o" if len(known) < 12 else "",
                markersize=3.5,
                label="" if shown in labelled else shown,
            )
            labelled.add(shown)


def _legend(axes: Axes) -> None:
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(loc="best")


def _stage_names(axes: Axes, tracks: Sequence[_Track], end: float) -> None:
    """Write the stages' names above the axes, each where it begins."""
    for track in tracks:
        late = track.start > 0.75 * end  # a name that begins here would run out of the picture
        axes.annotate(
            track.stage.replace("_", " "),
            (1 if late else track.start, 1),
            xycoords=("axes fraction" if late else "data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right" if late else "left",
            fontsize=8.5,
        )


def reward_plot(search: Search, identity: str = "reward") -> str:
    """Draw the reward of every roll-out and the best so far.

    Args:
        search: one of the report's searches.
        identity: prefix of the ids, different for each search.

    Returns:
        SVG, or "" when no roll-out succeeded.
    """
    scored = [
        (rollout.index, rollout.reward) for rollout in search.rollouts if rollout.reward is not None
    ]
    best = [
        (rollout.index, rollout.best) for rollout in search.rollouts if rollout.best is not None
    ]
    if not scored:
        return ""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(*zip(*scored, strict=True), "o", ms=3, color=SECOND, label="trial")
        if best:
            axes.step(*zip(*best, strict=True), where="post", color=FIRST, label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel("reward")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        axes.legend(loc="lower right")

    about = (
        f"Reward of {len(scored)} trials of the {search.agent} search; the best is "
        f"{max(reward for _, reward in scored):.4g}."
    )
    return picture(identity, about, 2.6, draw)


def setting_plot(search: Search, identity: str = "setting") -> str:
    """Draw the choice for each layer beside the uniform one.

    Args:
        search: one of the report's searches.
        identity: prefix of the ids, different for each search.

    Returns:
        SVG, or "" when the search found nothing.
    """
    if search.winner is None or not search.winner.setting:
        return ""
    setting = search.winner.setting
    uniform: Mapping[str, float] = search.uniform.setting if search.uniform else {}
    factor, unit = _UNITS[search.quantity]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rows = range(len(setting))
        values = [factor * value for value in setting.values()]
        axes.barh(rows, values, height=0.72, color=FIRST, label="found")
        marks = [
            (factor * uniform[name], row)
            for row, name in zip(rows, setting, strict=True)
            if name in uniform
        ]
        if marks:
            axes.plot(*zip(*marks, strict=True), "|", ms=9, mew=2, color=SECOND, label="uniform")
            figure.legend(loc="outside upper right", ncols=2)
        if len(setting) <= MAX_NAMED_LAYERS:
            axes.set_yticks(rows, [shortened(name) for name in setting], fontsize=8.5)
        axes.set_ylim(len(setting) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_xlabel(unit)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)

    height = 1.0 + (0.2 if len(setting) <= MAX_NAMED_LAYERS else 0.06) * len(setting)
    about = f"Choice of the {search.agent} search for each of {len(setting)} layers, {unit}."
    return picture(identity, about, height, draw)


Drawing = tuple[str, Callable[[], str]]


def trade_offs(report: Report) -> Iterator[tuple[str, str]]:
    """Draw accuracy against cost; see `report_plots`."""
    return _drawn(trade_off_plots(report))


def report_plots(report: Report) -> Iterator[tuple[str, str]]:
    """Draw all other plots that a report has data for.

    Args:
        report: the report.

    Yields:
        Caption and SVG; a caption that says so, and "", for a plot that cannot be drawn.
    """
    drawings: list[Drawing] = [
        ("Samples lost and gained by class", lambda: class_plot(report.classes)),
        ("Input channels kept per layer", lambda: channel_plot(report.layers)),
        ("Training", lambda: training_plot(report.training)),
    ]
    for number, search in enumerate(report.searches):
        head = f"Search by {search.agent}"
        reward = functools.partial(reward_plot, search, f"reward-{number}")
        setting = functools.partial(setting_plot, search, f"setting-{number}")
        drawings += [(f"{head}: reward over trials", reward)]
        drawings += [(f"{head}: choice per layer", setting)]
    return _drawn(drawings)


def _drawn(drawings: Sequence[Drawing]) -> Iterator[tuple[str, str]]:
    for caption, draw in drawings:
        try:
            svg = draw()
        except Exception as error:  # a picture is not worth the report
            yield f"{caption}: cannot be drawn ({type(error).__name__}: {error})", ""
            continue
        if svg:
            yield caption, svg
