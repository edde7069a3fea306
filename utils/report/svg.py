"""Matplotlib's drawings as SVG that sits inside the page and takes its colours and font.

Matplotlib draws with stand-in colours, which become CSS variables of the page: one picture serves
the light, the dark and the printed page. Text stays text. Layer names come from foreign models: the
SVG backend escapes them, and mathematics in `$…$` is switched off.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from xml.sax.saxutils import escape, quoteattr

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

TEXT, SOFT, RULE, FIRST, SECOND, REST, BETTER, WORSE = (f"#0102{k:02}" for k in range(3, 11))
_CSS_COLOURS = {
    TEXT: "currentColor",
    SOFT: "var(--soft)",
    RULE: "var(--rule)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    REST: "var(--rest)",
    BETTER: "var(--better)",
    WORSE: "var(--worse)",
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
    "axes.edgecolor": RULE,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}
_MAX_NAME = 22


def shortened(name: str) -> str:
    """Shorten a name in its middle: both ends tell layers apart."""
    if len(name) <= _MAX_NAME:
        return name
    half = (_MAX_NAME - 1) // 2
    return f"{name[:half]}…{name[-(_MAX_NAME - 1 - half) :]}"


def picture(identity: str, about: str, height: float, fill: Callable[[Figure], None]) -> str:
    """Run a drawing function and make its SVG part of a page.

    Args:
        identity: prefix of the ids, which must be unique on the page.
        about: what the picture shows, for those who do not see it.
        height: in inches.
        fill: fills the figure.

    Returns:
        An `<svg>` element.
    """
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": identity}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        fill(figure)
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
