"""Measure how long `.keras`, `.h5` and `.tflite` files take for one inference.

    python tools/benchmark/calc_inference_time.py --model_file=a.tflite,b.tflite

Several files (separated by commas, or the flag repeated) are called in turns (A B A B …); the
last columns compare with the first file: the median of ten blocks of calls, its 95 % interval, and
`same` where the difference is no more than noise.
"""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Sequence

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from rich import box
from rich.table import Table

from tools.benchmark.model_files import join_repeated, model_files
from tools.command import run_command
from utils.command import out
from utils.export.config import LatencyConfig
from utils.export.quiet import quiet_native
from utils.files import NETWORK_ENDINGS
from utils.flags import Parsed, flag, group

_FOUND_IN_FILE = "names and number formats are read from the file."


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceTimeConfig:
    """What to measure."""

    model_file: str | None = flag(
        None,
        "The .keras, .h5 or .tflite file; several are separated by commas and called in turns.",
        path=True,
    )
    batch_size: int = flag(
        1,
        "Samples per call. A .tflite file of Flowpress runs with 1.",
        unit="samples",
        lower=1,
        upper=1_000_000,
    )
    allow_unsafe: bool = flag(False, "Load a model that holds Python code (Lambda layers).")
    latency: LatencyConfig = group(LatencyConfig)
    input_name: str = flag("net_input", "Name of the input.", inert=_FOUND_IN_FILE)
    output_name: str = flag("net_output", "Name of the output.", inert=_FOUND_IN_FILE)
    input_dtype: str = flag("float32", "Number format of the input.", inert=_FOUND_IN_FILE)

    def files(self) -> list[str]:
        """Split `model_file`, see `model_files`."""
        return model_files(self.model_file, (*NETWORK_ENDINGS, ".tflite"), ".keras, .h5 or .tflite")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    arguments = join_repeated(argv, "model_file")
    return run_command(str(__doc__).strip(), lambda: [InferenceTimeConfig], _measure, arguments)


def _measure(parsed: Parsed) -> None:
    config: InferenceTimeConfig = parsed.configs[InferenceTimeConfig]
    files, timing = config.files(), config.latency
    with quiet_native():  # TensorFlow's start, where there is a .keras file
        from utils import latency

        with_keras = any(name.endswith(NETWORK_ENDINGS) for name in files)
        keras_threads = latency.limit_threads(timing.latency_threads) if with_keras else 0
    openers = {
        name: functools.partial(
            latency.file_call,
            name,
            batch_size=config.batch_size,
            num_threads=timing.latency_threads,
            allow_unsafe=config.allow_unsafe,
        )
        for name in files
    }
    stats = latency.measure_anew(openers, repeats=timing.nb_repts, warmup=timing.nb_repts_warmup)
    title = f"Milliseconds per call, batch {config.batch_size}, {timing.nb_repts} calls each"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("file", overflow="fold")
    for heading in ("threads", "p50", "p95", "mean", "to first", "interval", ""):
        table.add_column(heading, justify="right")
    for name, row in stats.items():
        threads = keras_threads if name.endswith(NETWORK_ENDINGS) else timing.latency_threads
        times = (f"{value:.3f}" for value in (row.p50, row.p95, row.mean))
        share = latency.ratio(row, stats[files[0]])
        low, high = share.interval
        words = "" if share.is_clear else "same"
        compared = (f"{share.median:.2f}", f"{low:.2f}-{high:.2f}", words)
        table.add_row(name, str(threads), *times, *(compared if name != files[0] else ()))
    out.print(table)


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
