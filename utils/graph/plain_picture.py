"""A picture of a graph without Graphviz: rows of boxes by depth, lines between them.

Plainer than `utils.graph.draw`, whose program `dot` finds better places; it needs nothing that is
not installed anyway.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from utils.files import atomic_path
from utils.graph.draw import shape_text
from utils.graph.ir import Graph, Node

_BOX, _GAP, _MARGIN = (190, 34), (24, 26), 20  # pixels
_MAX_PIXELS = 120_000_000
_LINE, _EDGE, _FILL, _TEXT = "#606060", "#303030", "#eef3f8", "#000000"
_MAX_LETTERS = 30


def draw_plain(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Draw a graph from top to bottom.

    Args:
        graph: the network.
        path: the `.png` file to write. A very large graph is drawn smaller.

    Raises:
        InputError: if the path cannot be written.
    """
    from PIL import Image, ImageDraw

    places = positions(graph)
    columns = max((column for column, _ in places.values()), default=0) + 1
    rows = max((row for _, row in places.values()), default=0) + 1
    size = [2 * _MARGIN + count * (box + gap) - gap
            for count, box, gap in zip((columns, rows), _BOX, _GAP, strict=True)]  # fmt: skip
    scale = min(1.0, (_MAX_PIXELS / (size[0] * size[1])) ** 0.5)
    image = Image.new("RGB", (max(int(size[0] * scale), 1), max(int(size[1] * scale), 1)), "white")
    pen = ImageDraw.Draw(image)
    corners = {
        name: tuple(
            int(scale * (_MARGIN + place * (box + gap)))
            for place, box, gap in zip(where, _BOX, _GAP, strict=True)
        )
        for name, where in places.items()
    }
    width, height = (max(int(scale * side), 2) for side in _BOX)
    for node in graph.nodes:
        left, top = corners[node.name]
        for ref in node.inputs:
            x, y = corners[ref.node]
            pen.line((x + width // 2, y + height, left + width // 2, top), fill=_LINE)
    for node in graph.nodes:
        left, top = corners[node.name]
        pen.rectangle((left, top, left + width, top + height), outline=_EDGE, fill=_FILL)
        if scale == 1.0:
            pen.multiline_text((left + 5, top + 4), _label(node), fill=_TEXT, spacing=2)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def positions(graph: Graph) -> Mapping[str, tuple[int, int]]:
    """Find a place for every node.

    Args:
        graph: the network.

    Returns:
        Column and row by node; a node is below all that it reads, in the leftmost of their
        columns where that is free.
    """
    found: dict[str, tuple[int, int]] = {}
    taken: dict[int, set[int]] = {}
    for node in graph.nodes:
        above = [found[ref.node] for ref in node.inputs]
        row = max((place[1] for place in above), default=-1) + 1
        column = min((place[0] for place in above), default=0)
        used = taken.setdefault(row, set())
        while column in used:
            column += 1
        used.add(column)
        found[node.name] = (column, row)
    return found


def _label(node: Node) -> str:
    shapes = ", ".join(shape_text(shape) for shape in node.output_shapes)
    lines = (node.name, f"{node.op.rpartition('.')[2]}  {shapes}")
    text = "\n".join(line[-_MAX_LETTERS:] for line in lines)
    return text.replace("×", "x").encode("latin-1", "replace").decode("latin-1")
