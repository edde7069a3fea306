"""Estimate what int8 `.tflite` files cost on an Arm Ethos-U, without one.

    python tools/benchmark/estimate_ethos_u.py --model_file=a.tflite,b.tflite

Arm's compiler `vela` (pip install '.[npu]') encodes the weights and estimates cycles of one
inference from compute and memory traffic. Operators that stay on the CPU are listed; their time is
not in the figures. --per_operator lists where the cycles go.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from rich import box
from rich.table import Table

from tools.benchmark.model_files import join_repeated, model_files
from tools.command import run_command
from utils.command import out
from utils.errors import InputError
from utils.export.ethos_u import NpuEstimate, Target, estimate, require_vela
from utils.export.targets import ACCELERATORS
from utils.flags import Parsed, flag
from utils.report import formats


@dataclasses.dataclass(frozen=True, kw_only=True)
class EthosUConfig:
    """Which files, for which device."""

    model_file: str | None = flag(
        None, "The int8 .tflite file; several are separated by commas.", path=True
    )
    accelerator: str = flag(
        "ethos-u55-128",
        "The Ethos-U; the last number is its multiply-adds per cycle.",
        choices=ACCELERATORS,
    )
    system_config: str | None = flag(
        None,
        "Clock and memories, a name from vela's list (vela --list-configs Arm/vela.ini); without "
        "it vela's choice.",
    )
    memory_mode: str | None = flag(
        None, "What lies in which memory, from the same list; goes with system_config."
    )
    per_operator: bool = flag(False, "Also list the operators by their cycles.")

    def target(self) -> Target:
        """The device; see there for what is refused."""
        return Target(
            accelerator=self.accelerator,
            system_config=self.system_config,
            memory_mode=self.memory_mode,
        )


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    arguments = join_repeated(argv, "model_file")
    return run_command(str(__doc__).strip(), lambda: [EthosUConfig], _run, arguments)


def _run(parsed: Parsed) -> None:
    config: EthosUConfig = parsed.configs[EthosUConfig]
    files, target = model_files(config.model_file, (".tflite",), ".tflite"), config.target()
    require_vela()
    found = {name: _estimate(name, target) for name in files}
    taken = next(iter(found.values())).target
    title = f"{taken.accelerator}, {taken.system_config}, {taken.memory_mode}; one inference"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    memories = list(dict.fromkeys(where for row in found.values() for where in row.memory_bytes))
    table.add_column("file", overflow="fold")
    for heading in ("weights", "encoded", "cycles", "ms", *memories, "CPU ops"):
        table.add_column(heading, justify="right")
    for name, row in found.items():
        sizes = map(formats.size, (row.weight_bytes, row.encoded_bytes))
        memory = (formats.size(row.memory_bytes.get(where, 0)) for where in memories)
        times = f"{row.cycles:,}", f"{row.milliseconds:.3f}"
        table.add_row(name, *sizes, *times, *memory, str(len(row.cpu_operators)))
    out.print(table)
    _print_lists(found, per_operator=config.per_operator)


def _estimate(name: str, target: Target) -> NpuEstimate:
    try:
        return estimate(pathlib.Path(name).read_bytes(), target)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _print_lists(found: Mapping[str, NpuEstimate], *, per_operator: bool) -> None:
    """List what stays on the CPU, and where the cycles go."""
    for name, row in found.items():
        for operator in row.cpu_operators:
            out.print(f"{name}: on the CPU: {operator}", markup=False, soft_wrap=True)
        if per_operator:
            table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD)
            table.add_column("operator")
            table.add_column("tensor", overflow="fold")
            for heading in ("multiply-adds", "cycles"):
                table.add_column(heading, justify="right")
            for each in (each for each in row.npu_operators if each.cycles):
                table.add_row(each.operator, each.tensor, f"{each.macs:,}", f"{each.cycles:,}")
            out.print(table)


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
