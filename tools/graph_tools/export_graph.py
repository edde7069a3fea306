"""Write a network's graph: graph.json, params.npz, and a picture.

    python tools/graph_tools/export_graph.py --model_file=model.keras --out_dir=graph --picture=svg

The fused form (batch norm and activations inside the layer before them) lies in `fused/` beside
the trainable one. What could not be read as it stood, and which channels can be cut, is listed in
`capabilities.txt`.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from tools.command import run_command
from tools.graph_tools.source import SourceConfig
from utils.command import out
from utils.errors import InputError
from utils.files import atomic_path, check_writable
from utils.flags import Parsed, flag, group

if TYPE_CHECKING:
    from utils.graph import Graph

REPORT_FILE = "capabilities.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportGraphConfig:
    """What to write, where."""

    source: SourceConfig = group(SourceConfig)
    out_dir: str | None = flag(
        None, "Folder for the files; it is made if it is missing.", path=True
    )
    picture: str = flag("none", "Also draw it, through Graphviz.", choices=("none", "svg", "png"))
    fused: bool = flag(True, "Also write the fused form.")
    strict: bool = flag(False, "Refuse a network with layers that the op table lacks.")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    return run_command(str(__doc__).strip(), lambda: [ExportGraphConfig], _run, argv)


def _run(parsed: Parsed) -> None:
    config: ExportGraphConfig = parsed.configs[ExportGraphConfig]
    config.source.check()
    if not config.out_dir:
        raise InputError("`out_dir` must name a folder. Received: none. Give --out_dir=path.")
    folder = pathlib.Path(config.out_dir)
    check_writable(folder / REPORT_FILE)
    graph = config.source.graph()
    from utils.graph import capability_report
    from utils.graph.fold import fold

    lines = capability_report(graph)
    opaque = [line for line in lines if line.action == "opaque"]
    if config.strict and opaque:
        raise InputError(
            f"layer {opaque[0].layer!r} is opaque: {opaque[0].reason}. {len(opaque)} in all; "
            "without --strict they are kept as they are and never cut."
        )
    _write(graph, folder, config.picture)
    if config.fused:
        _write(fold(graph), folder / "fused", config.picture)
    with atomic_path(folder / REPORT_FILE) as temporary:
        text = "".join(f"{line.layer}: {line.action}: {line.reason}\n" for line in lines)
        temporary.write_text(text, encoding="utf-8")
    out.print(f"{folder}: {len(graph.nodes)} nodes, {len(opaque)} of them opaque.", markup=False)


def _write(graph: Graph, folder: pathlib.Path, picture: str) -> None:
    from utils.graph import disk
    from utils.graph.draw import draw

    disk.save(graph, folder)
    if picture != "none":
        draw(graph, folder / f"graph.{picture}")


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
