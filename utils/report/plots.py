"""Plots of a report as SVG that sits inside the page and takes its colours and font.

Matplotlib draws with stand-in colours, which become CSS variables of the page: one picture serves
the light, the dark and the printed page. Text stays text. Layer names come from foreign models: the
SVG backend escapes them, and mathematics in `$…$` is switched off.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.report.schema import Layer, Report, Search, TrainingPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TEXT, _RULE, _FIRST, _SECOND, _REST = (f"#01020{digit}" for digit in range(3, 8))
_CSS_COLOURS = {
    _TEXT: "currentColor",
    _RULE: "var(--rule)",
    _FIRST: "var(--first)",
    _SECOND: "var(--second)",
    _REST: "var(--rest)",
}
_WIDTH = 5.0  # inches = 360 units of the SVG: readable at the width of a phone
_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _TEXT,
    "axes.titlecolor": _TEXT,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "text.color": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}
_UNITS = {"channels": (100, "% removed"), "sparsity": (100, "% zero"), "bits": (1, "bits")}
#: More layers than this are drawn as a profile over their position, without names.
MAX_NAMED_LAYERS = 60
_MAX_NAME = 22


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
        return _draw("channels", about, 2.6, lambda figure: _profile(figure, kept))
    height = 0.55 + 0.2 * len(counted)
    return _draw("channels", about, height, lambda figure: _bars(figure, names, kept, labels))


def _bars(
    figure: Figure, names: Sequence[str], fractions: Sequence[float], labels: Sequence[str]
) -> None:
    """Bars from the top down, the whole behind, the number at the end."""
    axes = figure.subplots()
    rows = range(len(names))
    axes.barh(rows, [1.0] * len(names), height=0.72, color=_REST)
    axes.barh(rows, fractions, height=0.72, color=_FIRST)
    for row, label in zip(rows, labels, strict=True):
        axes.text(1.02, row, label, va="center", fontsize=8.5)
    axes.set_yticks(rows, [_short(name) for name in names], fontsize=8.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.24)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)


def _profile(figure: Figure, fractions: Sequence[float]) -> None:
    axes = figure.subplots()
    axes.fill_between(range(len(fractions)), 1.0, step="mid", color=_REST, linewidth=0)
    axes.fill_between(range(len(fractions)), fractions, step="mid", color=_FIRST, linewidth=0)
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
    positions, starts = _epochs(points)
    stages = ", ".join(stage for stage, _ in starts)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(quantities), 1, sharex=True, squeeze=False)
        for axes, (title, key) in zip(grid[:, 0], quantities, strict=True):
            _curves(axes, points, positions, key)
            for _, at in starts[1:]:
                axes.axvline(at, color=_TEXT, linewidth=0.8, linestyle=":")
            axes.set_ylabel(title)
            axes.grid(axis="y")
        _legend(grid[0, 0])
        _stage_names(grid[0, 0], starts, max(positions))
        grid[-1, 0].set_xlim(0, max(positions) * 1.02)
        grid[-1, 0].set_xlabel("epoch")
        grid[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))

    about = f"Training of {stages}: {' and '.join(key for _, key in quantities)} over the epochs."
    return _draw("training", about, 0.6 + 1.7 * len(quantities), draw)


def _value(point: TrainingPoint, key: str) -> float | None:
    value = getattr(point, key) if key in ("loss", "accuracy") else point.others.get(key)
    return 100 * value if value is not None and key.endswith("accuracy") else value


def _curves(
    axes: Axes, points: Sequence[TrainingPoint], positions: Sequence[float], key: str
) -> None:
    """Draw the training and, where there is one, the validation curve, broken between stages."""
    for name, label, colour, style in (
        (key, "training", _FIRST, "-"),
        (f"val_{key}", "validation", _SECOND, "--"),
    ):
        labelled = False
        for _, group in groupby(
            zip(points, positions, strict=True), key=lambda pair: pair[0].stage
        ):
            pairs = [(at, _value(point, name)) for point, at in group]
            known = [(at, value) for at, value in pairs if value is not None]
            if known:
                axes.plot(
                    *zip(*known, strict=True),
                    color=colour,
                    linestyle=style,
                    marker="o" if len(known) < 12 else "",
                    markersize=3.5,
                    label="" if labelled else label,
                )
                labelled = True


def _epochs(points: Sequence[TrainingPoint]) -> tuple[list[float], list[tuple[str, float]]]:
    """Place the points on one axis of epochs that runs on from stage to stage.

    Returns:
        A position for each point (the last one of an epoch stands at the epoch's end), and each
        stage with the position at which it begins.
    """
    positions: list[float] = []
    starts: list[tuple[str, float]] = []
    offset = 0.0
    for stage, group in groupby(points, key=lambda point: point.stage):
        starts.append((stage, offset))
        epochs = [point.epoch for point in group]
        for epoch, same in groupby(epochs):
            number = len(list(same))
            positions += [offset + epoch - 1 + (k + 1) / number for k in range(number)]
        offset += max(epochs)
    return positions, starts


def _legend(axes: Axes) -> None:
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(loc="best")


def _stage_names(axes: Axes, starts: Sequence[tuple[str, float]], end: float) -> None:
    """Write the stages' names above the axes, each where it begins."""
    for stage, at in starts:
        late = at > 0.75 * end  # a name that begins here would run out of the picture
        axes.annotate(
            stage.replace("_", " "),
            (1 if late else at, 1),
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
        axes.plot(*zip(*scored, strict=True), "o", ms=3, color=_SECOND, label="roll-out")
        if best:
            axes.step(*zip(*best, strict=True), where="post", color=_FIRST, label="best so far")
        axes.set_xlabel("roll-out")
        axes.set_ylabel("reward")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        axes.legend(loc="lower right")

    about = (
        f"Reward of {len(scored)} roll-outs of the {search.agent} search; the best is "
        f"{max(reward for _, reward in scored):.4g}."
    )
    return _draw(identity, about, 2.6, draw)


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
        axes.barh(rows, values, height=0.72, color=_FIRST, label="found")
        marks = [
            (factor * uniform[name], row)
            for row, name in zip(rows, setting, strict=True)
            if name in uniform
        ]
        if marks:
            axes.plot(*zip(*marks, strict=True), "|", ms=9, mew=2, color=_SECOND, label="uniform")
            figure.legend(loc="outside upper right", ncols=2)
        if len(setting) <= MAX_NAMED_LAYERS:
            axes.set_yticks(rows, [_short(name) for name in setting], fontsize=8.5)
        axes.set_ylim(len(setting) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_xlabel(unit)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)

    height = 1.0 + (0.2 if len(setting) <= MAX_NAMED_LAYERS else 0.06) * len(setting)
    about = f"Choice of the {search.agent} search for each of {len(setting)} layers, {unit}."
    return _draw(identity, about, height, draw)


def report_plots(report: Report) -> Iterator[tuple[str, str]]:
    """Draw all plots that a report has data for.

    Args:
        report: the report.

    Yields:
        Caption and SVG; a caption that says so, and "", for a plot that cannot be drawn.
    """
    drawings: list[tuple[str, Callable[[], str]]] = [
        ("Input channels kept per layer", lambda: channel_plot(report.layers)),
        ("Training", lambda: training_plot(report.training)),
    ]
    for number, search in enumerate(report.searches):
        head = f"Search by {search.agent}"
        reward = functools.partial(reward_plot, search, f"reward-{number}")
        setting = functools.partial(setting_plot, search, f"setting-{number}")
        drawings += [(f"{head}: reward over roll-outs", reward)]
        drawings += [(f"{head}: choice per layer", setting)]
    for caption, draw in drawings:
        try:
            svg = draw()
        except Exception as error:  # a picture is not worth the report
            yield f"{caption}: cannot be drawn ({type(error).__name__}: {error})", ""
            continue
        if svg:
            yield caption, svg


def _short(name: str) -> str:
    """Shorten a name in its middle: both ends tell layers apart."""
    if len(name) <= _MAX_NAME:
        return name
    half = (_MAX_NAME - 1) // 2
    return f"{name[:half]}…{name[-(_MAX_NAME - 1 - half) :]}"


def _draw(identity: str, about: str, height: float, draw: Callable[[Figure], None]) -> str:
    """Run a drawing function and make its SVG part of a page.

    Args:
        identity: prefix of the ids, which must be unique on the page.
        about: what the picture shows, for those who do not see it.
        height: in inches.
        draw: fills the figure.

    Returns:
        An `<svg>` element.
    """
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": identity}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure)
        stream = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(stream, metadata=nothing)
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    head, _, body = svg.partition(">")
    view_box = re.search(r'viewBox="([^"]*)"', head)
    body = re.sub(r'\bid="', f'id="{identity}-', body)
    body = body.replace('xlink:href="#', f'href="#{identity}-').replace(
        "url(#", f"url(#{identity}-"
    )
    body = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", body)
    for colour, css in _CSS_COLOURS.items():
        body = body.replace(colour, css)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view_box[1] if view_box else ""}" '
        f'role="img" aria-label={quoteattr(about)}><title>{escape(about)}</title>{body}'
    )
