"""Write a prune dict for a network: a line per layer, its name and the ratio of its weights to go.

    python tools/graph_tools/write_prune_dict.py --model_file=model.keras --prune_ratio=0.75
    python tools/graph_tools/write_prune_dict.py --model_file=model.keras --skip='fc,*shortcut*'

The file is there to be edited; `--ws_prune_dict` and `Prune(model, prune_dict=…)` take it. Layers
that are left whole stand in it with the ratio 0, among them depthwise ones, which have few weights.
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

from learners.name_parts import name_parts
from learners.sparsity.prune_dict import (
    as_prune_dict,
    matching,
    ratios_by_layer,
    write_prune_dict,
)
from tools.command import run_command
from tools.graph_tools.source import SourceConfig
from utils.command import out
from utils.errors import InputError
from utils.files import check_writable
from utils.flags import Parsed, flag, group

if TYPE_CHECKING:
    from learners.kernels.layers import KernelLayer


@dataclasses.dataclass(frozen=True, kw_only=True)
class PruneDictConfig:
    """Which ratio for which layers."""

    source: SourceConfig = group(SourceConfig)
    out_file: str = flag("prune.yaml", "The file to write.", path=True)
    prune_ratio: float = flag(
        0.75,
        "Fraction of the weights removed from each layer.",
        lower=0.0,
        upper=1.0,
        upper_open=True,
    )
    skip: str | None = flag(
        None, "Layers that are left whole: names or patterns, separated by commas."
    )
    skip_frst_layer: bool = flag(
        True, "Leave the first layer with a kernel whole where it is a convolution."
    )
    skip_last_layer: bool = flag(False, "Leave the last layer with a kernel whole.")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    return run_command(str(__doc__).strip(), lambda: [PruneDictConfig], _run, argv)


def _run(parsed: Parsed) -> None:
    config: PruneDictConfig = parsed.configs[PruneDictConfig]
    config.source.check()
    check_writable(config.out_file)
    graph = config.source.graph()
    from learners.kernels.layers import kernel_layers

    kernels = kernel_layers(graph)
    if not kernels:
        raise InputError(f"{graph.name}: no layer has a kernel whose weights could be removed.")
    ratios = _ratios(config, kernels)
    write_prune_dict(config.out_file, ratios, {each.name: _said(each) for each in kernels})
    total = sum(kernel.size for kernel in kernels)
    gone = sum(ratios[kernel.name] * kernel.size for kernel in kernels)
    whole = [name for name, ratio in ratios.items() if not ratio]
    out.print(
        f"{config.out_file}: {100 * gone / total:.1f} % of the {total:,} weights in "
        f"{len(ratios)} kernels go. Left whole: {', '.join(whole) or 'none'}.",
        markup=False,
        soft_wrap=True,
    )


def _ratios(config: PruneDictConfig, kernels: Sequence[KernelLayer]) -> dict[str, float]:
    """Give each layer its ratio, 0 for those that are left whole."""
    names = [kernel.name for kernel in kernels]
    skipped = name_parts(config.skip)
    if skipped:  # refuses those that meet no layer
        ratios_by_layer(as_prune_dict(dict.fromkeys(skipped, 0.0), "`skip`"), names)
    depthwise = (kernel.name for kernel in kernels if kernel.is_depthwise)
    whole = {
        *depthwise,
        *names[: config.skip_frst_layer and kernels[0].is_convolution],
        *(names[-1:] if config.skip_last_layer else ()),
    }
    return {
        name: 0.0 if name in whole or matching(skipped, name) else config.prune_ratio
        for name in names
    }


def _said(kernel: KernelLayer) -> str:
    shape = "x".join(map(str, kernel.shapes[0]))
    return f"{kernel.size:,} weights, {shape}"


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
