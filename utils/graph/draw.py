"""A picture of a graph, through Graphviz' `dot`."""

from __future__ import annotations

import os
import pathlib
import subprocess

from utils.errors import InputError
from utils.files import atomic_path
from utils.graph.channels import ChannelGroup, channel_groups
from utils.graph.ir import Graph, Node, Shape

_ENDINGS = (".svg", ".png")
_TIMEOUT_S = 300  # dot lays out 1,000 nodes in about 10 s
_PLAIN, _FIXED = "#ffffff", "#e0e0e0"
# Light fills, told apart in grey too, for the layers that make the channels of one group.
_FILLS = ("#a6cee3", "#b2df8a", "#fdbf6f", "#cab2d6", "#ffff99", "#fb9a99", "#d9c2a7", "#9fe0d0")


def draw(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Draw a graph: a box per call with its shape; producers of one group share a colour.

    Layers whose channels cannot be cut are grey.

    Args:
        graph: the network.
        path: the picture to write, `.svg` or `.png`.

    Raises:
        InputError: if the ending is another one, `dot` is not installed or fails, or the path
            cannot be written.
    """
    ending = pathlib.Path(path).suffix
    if ending not in _ENDINGS:
        raise InputError(f"pictures are .svg or .png files. Received: {os.fspath(path)!r}.")
    with atomic_path(path) as temporary:
        command = ["dot", f"-T{ending[1:]}", "-o", str(temporary)]
        try:
            subprocess.run(
                command,
                input=dot_text(graph),
                text=True,
                encoding="utf-8",
                capture_output=True,
                check=True,
                timeout=_TIMEOUT_S,
            )
        except FileNotFoundError as error:
            raise InputError(
                "pictures need Graphviz, whose command `dot` was not found. Install it (apt-get "
                "install graphviz, brew install graphviz) or leave the picture out."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"`dot` did not finish in {_TIMEOUT_S} s: the graph is too large to draw."
            ) from error
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or "").strip().splitlines() or ["no message"]
            raise InputError(f"`dot` failed: {lines[0]}") from error


def dot_text(graph: Graph) -> str:
    """Describe the picture in Graphviz' language.

    Args:
        graph: the network.

    Returns:
        The text that `dot` reads; names in it are escaped.
    """
    fills = _fills(channel_groups(graph))
    lines = [
        f"digraph {_quoted(graph.name)} {{",
        'node [shape=box style="filled,rounded" fontname="sans-serif" fontsize=10];',
        "edge [arrowsize=0.6];",
    ]
    for node in graph.nodes:
        fill = fills.get(node.name, _PLAIN)
        lines.append(
            f"{_quoted(node.name)} [label={_quoted(_label(node))} fillcolor={_quoted(fill)}];"
        )
    for node in graph.nodes:
        lines += [f"{_quoted(ref.node)} -> {_quoted(node.name)};" for ref in node.inputs]
    return "\n".join([*lines, "}", ""])


def _fills(groups: tuple[ChannelGroup, ...]) -> dict[str, str]:
    prunable = [group for group in groups if group.prunable]
    fills = {name: _FIXED for group in groups if not group.prunable for name in group.producers}
    for number, group in enumerate(prunable):
        fills.update(dict.fromkeys(group.producers, _FILLS[number % len(_FILLS)]))
    return fills


def _label(node: Node) -> str:
    shapes = ", ".join(shape_text(shape) for shape in node.output_shapes)
    return f"{node.name}\n{node.op.rpartition('.')[2]}\n{shapes}"


def shape_text(shape: Shape) -> str:
    """Write a shape without its batch axis.

    Example:
        >>> shape_text((None, 8, None, 3))
        '8×?×3'
    """
    return "×".join("?" if size is None else str(size) for size in shape[1:])


def _quoted(text: str) -> str:
    """Write a string of Graphviz' language: backslashes, quotes and newlines escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
