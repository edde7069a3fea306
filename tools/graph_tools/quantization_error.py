"""Say for each layer of a network what quantization costs it, with nothing trained.

    python tools/graph_tools/quantization_error.py --model_file=m.keras --calibration_file=x.npz
    python tools/graph_tools/quantization_error.py --model_file=m.keras --model_helper=…

Each layer is compared with itself in float: alone, on the float network's values, and inside the
quantized network, where the errors of the layers before it count too. The layers that lose most by
themselves come first. The last line is the distance of the network's output.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from learners.post_training.config import PostTrainingConfig
from tools.command import run_command
from tools.conversion.quantization_source import (
    QuantizationSource,
    check_operators,
    helper_configs,
    open_source,
)
from utils.command import out
from utils.errors import InputError
from utils.files import atomic_path, check_writable
from utils.flags import Parsed, flag, group

if TYPE_CHECKING:
    from learners.post_training.recipe import PostTrained
    from tools.conversion.quantization_source import Opened
    from utils.quantization.distances import LayerDistance

_HEADINGS = ("layer", "alone", "dB", "inside", "dB", "what to do")


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizationErrorConfig:
    """What to compare, how to show it."""

    source: QuantizationSource = group(QuantizationSource)
    quantization: PostTrainingConfig = group(PostTrainingConfig)
    allow_float: bool = flag(False, "Leave operators that have no int8 form in float.")
    num_rows: int = flag(20, "Layers that are shown; the files have all.", lower=1)
    csv_file: str | None = flag(None, "File for all figures, separated by commas.", path=True)
    picture: str | None = flag(None, "File for a picture (.png, .svg): SQNR by layer.", path=True)


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """

    def config_classes() -> list[type]:
        return [QuantizationErrorConfig, *helper_configs(argv)]

    return run_command(str(__doc__).strip(), config_classes, _run, argv)


def _run(parsed: Parsed) -> None:
    config: QuantizationErrorConfig = parsed.configs[QuantizationErrorConfig]
    config.quantization.check()
    if not config.quantization.scheme.is_quantized:
        raise InputError("`strategy` null quantizes nothing. Choose another one.")
    for path in (config.csv_file, config.picture):
        if path:
            check_writable(path)
    source = open_source(config.source, parsed)
    check_operators(source, allow_float=config.allow_float)
    from utils.quantization.distances import layer_distances

    trained = source.quantize(config.quantization)
    rows = layer_distances(
        trained.before,
        trained.graph,
        trained.simulated(),
        trained.scalings,
        source.batches,
        bits=config.quantization.activation_bits,
    )
    ranked = sorted(rows, key=lambda row: -row.alone.distance)
    out.print(_table(ranked[: config.num_rows]))
    out.print(f"final distance {_final(trained, source):.6g}", highlight=False)
    if config.csv_file:
        with atomic_path(config.csv_file) as temporary:
            temporary.write_text(as_csv(ranked), encoding="utf-8")
    if config.picture:
        draw(rows, config.picture)


def _final(trained: PostTrained, source: Opened) -> float:
    """Give the distance of the network's output."""
    from tools.conversion.strategy_table import Evaluation, scored
    from utils.graph import to_keras

    data = Evaluation(inputs=source.batches, labels=None, count=0)
    return scored("", data, to_keras(trained.before), to_keras(trained.simulated())).distance


def _table(rows: Sequence[LayerDistance]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title="Layers by the error of their own", box=box.SIMPLE_HEAD)
    for heading in _HEADINGS:
        is_text = heading in ("layer", "what to do")
        table.add_column(heading, justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        figures = [
            text
            for each in (row.alone, row.inside)
            for text in (f"{each.distance:.4f}", f"{each.sqnr:.1f}")
        ]
        table.add_row(row.layer, *figures, row.advice)
    return table


def as_csv(rows: Sequence[LayerDistance]) -> str:
    """Write the figures, one line per layer.

    Args:
        rows: the layers.

    Returns:
        The text, with a line of headings.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    measures = ("distance", "sqnr_db", "cosine")
    alone, inside = ([f"{where}_{each}" for each in measures] for where in ("alone", "inside"))
    writer.writerow(["layer", "op", *alone, *inside, "advice"])
    for row in rows:
        figures = [dataclasses.astuple(each) for each in (row.alone, row.inside)]
        writer.writerow([row.layer, row.op, *figures[0], *figures[1], row.advice])
    return stream.getvalue()


def draw(rows: Sequence[LayerDistance], path: str) -> None:
    """Draw the SQNR of the layers, alone and inside.

    Args:
        rows: in the order of the network.
        path: the picture, of an ending that Matplotlib knows.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6.0, 0.25 * len(rows)), 4.5), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    for label, values in (
        ("alone", [row.alone.sqnr for row in rows]),
        ("inside", [row.inside.sqnr for row in rows]),
    ):
        axes.plot(places, values, marker="o", markersize=3, label=label)
    axes.set_xticks(list(places), [row.layer for row in rows], rotation=90, fontsize=6)
    axes.set_ylabel("SQNR in dB")
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
