"""Write the `.tflite` files of a `.keras` or `.h5` model and check them in the interpreter.

    python tools/conversion/export_tflite.py --model_file=m.keras --model_helper=convnet_at_digits
    python tools/conversion/export_tflite.py --model_file=m.keras --calibration_file=images.npz

The helper gives training samples to calibrate int8 files with, and the test split and metrics to
compare file and model. Without one the samples of the calibration file serve for both, and outputs
are compared instead of accuracies. The files lie beside the model: `m_float32.tflite`, ….
A file that misses a limit, or cannot be made, fails the command and is not written; the others are.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

import nets
from tools.command import run_command
from tools.conversion.calibration import read_calibration
from utils import flags
from utils.command import out
from utils.errors import InputError
from utils.export.config import CheckConfig, ConvertConfig, ExportConfig, parse_kinds
from utils.export.errors import ExportError
from utils.export.exporters import EXPORTERS
from utils.export.quiet import quiet_native
from utils.flags import Parsed, flag, group

if TYPE_CHECKING:
    import keras

    from nets.abstract_model_helper import AbstractModelHelper
    from utils.export.check import CheckResult

_IN_THE_MODEL = "the .keras file holds the network as it is."
_AS_IT_IS = "files are made of the network as it is; a learner cuts channels."
_CALIBRATED = "ranges come from calibration samples."


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportTfliteConfig:
    """What to write, from what."""

    model_file: str | None = flag(
        None, "The .keras or .h5 file; without it model_dir/model.keras.", path=True
    )
    model_dir: str = flag(
        "./models", "Folder of model.keras where model_file is not given.", path=True
    )
    model_helper: str | None = flag(
        None, "Data and metrics: a built-in name, or a path to your own .py file."
    )
    calibration_file: str | None = flag(
        None,
        "Without a helper: inputs as the network sees them, [samples, ...], in a .npy file or by "
        "input name in a .npz file.",
        path=True,
    )
    kinds: str = flag(
        "float32,int8",
        "Kinds of files, separated by commas: float32, dynamic, int8, sparse (float32 without its "
        "zeros, where it is smaller).",
        aliases=("tflite",),
    )
    out_dir: str | None = flag(
        None, "Folder for the files; beside the model without it.", path=True
    )
    seed: int = flag(0, "Chooses the helper's calibration samples.", lower=0, upper=2**31 - 1)
    allow_unsafe: bool = flag(False, "Load a model that holds Python code (Lambda layers).")
    convert: ConvertConfig = group(ConvertConfig)
    check: CheckConfig = group(CheckConfig)
    enbl_uni_quant: bool = flag(False, "Write the int8 kind as well.")
    enbl_post_quant: bool = flag(False, "Write the dynamic kind as well.")
    enbl_chn_prune: bool = flag(False, "The model is channel-pruned.", inert=_IN_THE_MODEL)
    enbl_fake_prune: bool = flag(False, "Zero channels at random.", inert=_AS_IT_IS)
    fake_prune_ratio: float = flag(0.5, "Part of the channels that is zeroed.", inert=_AS_IT_IS)
    enbl_fake_quant: bool = flag(False, "Use default ranges.", inert=_CALIBRATED)
    input_coll: str = flag("images_final", "Collection of inputs.", inert=_IN_THE_MODEL)
    output_coll: str = flag("logits_final", "Collection of outputs.", inert=_IN_THE_MODEL)
    mean_values: int = flag(128, "Zero point of the input.", inert=_CALIBRATED)
    std_dev_values: float = flag(127.0, "Steps per unit of the input.", inert=_CALIBRATED)
    default_ranges_min: int = flag(0, "Lower end of default ranges.", inert=_CALIBRATED)
    default_ranges_max: int = flag(6, "Upper end of default ranges.", inert=_CALIBRATED)

    def model_path(self) -> pathlib.Path:
        """Give the path of the model to convert."""
        return pathlib.Path(self.model_file or pathlib.Path(self.model_dir, "model.keras"))

    def export(self) -> ExportConfig:
        """Gather what the export needs.

        Raises:
            InputError: for an unknown kind, or int8 without calibration samples.
        """
        older = [("int8", self.enbl_uni_quant), ("dynamic", self.enbl_post_quant)]
        kinds = parse_kinds(",".join([self.kinds, *(kind for kind, on in older if on)]))
        if not kinds:
            raise InputError("`kinds` names no kind of file. Choose from float32, dynamic, int8.")
        calibrated = any(EXPORTERS[kind].calibrated for kind in kinds)
        if calibrated and not (self.model_helper or self.calibration_file):
            raise InputError(
                "an int8 file needs calibration samples: give --model_helper, or "
                "--calibration_file=inputs.npz, or leave int8 out (--kinds=float32)."
            )
        return ExportConfig(tflite=",".join(kinds), convert=self.convert, check=self.check)


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """

    def config_classes() -> list[type]:
        chosen = flags.peek(argv, {"model_helper": None})["model_helper"]
        helper = [nets.load_helper_class(chosen).config_class] if chosen else []
        return [ExportTfliteConfig, *helper]

    return run_command(str(__doc__).strip(), config_classes, _export, argv)


def _export(parsed: Parsed) -> None:
    config: ExportTfliteConfig = parsed.configs[ExportTfliteConfig]
    export, path, helper = config.export(), config.model_path(), None
    if config.model_helper:
        helper_class = nets.load_helper_class(config.model_helper)
        helper = helper_class(parsed.configs[helper_class.config_class], seed=config.seed)
        helper.check_files()
    with quiet_native():  # TensorFlow's start
        from utils.export.files import export_files
        from utils.files import load_keras_model

    model = load_keras_model(path, allow_unsafe=config.allow_unsafe)
    target = pathlib.Path(config.out_dir) / path.name if config.out_dir else path
    try:
        results = export_files(model, target, export, **_data(config, helper, model))
    except ExportError as error:
        _show(error.results)
        for result in error.results:
            if result.layers:
                out.print(_layer_table(result))
        raise
    _show(results)


def _show(results: Sequence[CheckResult]) -> None:
    """Print what came of the files, and where those that were written lie."""
    if not results:
        return
    out.print(_file_table(results))
    for result in results:
        declined = (f"there is no {result.kind} file: {result.declined}.",) * bool(result.declined)
        for note in (*result.notes, *declined):
            out.print(f"note: {note}", markup=False)
        if result.path is not None:
            out.print(f"{result.path}{_remarks(result)}", soft_wrap=True)


def _remarks(result: CheckResult) -> str:
    """Say how sure the accuracy of a file is, and what it computes in float."""
    from utils.intervals import share_interval

    said = []
    bounds = None if result.hits is None else share_interval(result.hits)
    if bounds is not None:
        said.append(f"accuracy {100 * bounds.low:.1f}-{100 * bounds.high:.1f}%, 95 % interval")
    if result.float_operators:
        said.append(f"in float: {', '.join(sorted(set(result.float_operators)))}")
    return f"  ({'; '.join(said)})" if said else ""


def _data(
    config: ExportTfliteConfig, helper: AbstractModelHelper | None, model: keras.Model
) -> dict[str, Any]:
    """Find calibration samples, held-out data and metrics."""
    from utils.training import Scorer

    num_samples = config.convert.nb_smpls_calib
    if helper is not None:
        return {
            "calibration": _inputs_of(helper.build_dataset_calibration(num_samples)),
            "dataset": helper.build_dataset_eval(),
            "calc_metrics": Scorer(helper),
            "facts": helper.data_facts,
        }
    samples = read_calibration(config.calibration_file, model, num_samples)
    inputs = samples if len(samples) > 1 else next(iter(samples.values()))
    return {
        "calibration": [inputs],
        "dataset": [(inputs, None)],
        "calc_metrics": lambda labels, outputs: {},
    }


def _inputs_of(batches: Iterable[Any]) -> Iterable[Any]:
    return (batch[0] if isinstance(batch, tuple) else batch for batch in batches)


def _file_table(results: Sequence[CheckResult]) -> Any:
    from rich import box
    from rich.table import Table

    title = f"Checked on {max(result.num_samples for result in results)} samples"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("kind")
    for heading in ("bytes", "deflated", "accuracy", "of Keras", "agreement", "error"):
        table.add_column(heading, justify="right")
    for result in results:
        if result.failed:
            table.add_row(result.kind, "failed")
            continue
        if result.declined:
            table.add_row(result.kind, "none")
            continue
        shares = (result.top1, result.keras_top1, result.agreement)
        percents = ("" if share is None else f"{share:.2%}" for share in shares)
        sizes = (f"{result.file_bytes:,}", f"{result.file_bytes_deflated:,}")
        table.add_row(result.kind, *sizes, *percents, f"{result.error:.2g}")
    return table


def _layer_table(result: CheckResult) -> Any:
    from rich import box
    from rich.table import Table

    title = f"Layers of the {result.kind} file by the error they add"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("layer", overflow="fold")
    for title in ("SNR in dB", "cosine", "error", "added"):
        table.add_column(title, justify="right")
    table.add_column("what to do", overflow="fold")
    for row in result.layers[:10]:
        numbers = (f"{row.snr_db:.1f}", f"{row.cosine:.4f}", f"{row.nmse:.2g}")
        table.add_row(row.layer, *numbers, f"{row.added_nmse:.2g}", row.suggestion)
    return table


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
