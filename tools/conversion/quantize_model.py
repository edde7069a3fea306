"""Quantize a trained network to integers without training, and write its file.

    python tools/conversion/quantize_model.py --model_file=m.keras --model_helper=convnet_at_digits
    python tools/conversion/quantize_model.py --model_file=m.keras --calibration_file=images.npz
    python tools/conversion/quantize_model.py --model_file=m.keras … --out_file=m.onnx
    python tools/conversion/quantize_model.py --config-file=resnet50_v1b.yml
    python tools/conversion/quantize_model.py --model_file=m.keras --model_helper=… --compare

--compare prints the accuracy of every strategy instead and writes no file. The file is run before
it is written and compared with the network. A document gives the same settings under the keys
MODEL, QUAN, EVALUATION and SAVE_PATH; flags count before it.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from learners.post_training.config import PostTrainingConfig
from tools.command import run_command
from tools.conversion.quantization_document import argv_of
from tools.conversion.quantization_source import (
    Opened,
    QuantizationSource,
    check_operators,
    helper_configs,
    open_source,
    running_plan,
)
from tools.conversion.quantized_outputs import (
    TFLITE,
    check_output,
    discard,
    other_than_tflite,
    put,
)
from utils.command import guarded, notes, out
from utils.errors import InputError
from utils.export.config import ConvertConfig
from utils.export.errors import ExportError
from utils.flags import Parsed, flag, group

if TYPE_CHECKING:
    from learners.post_training.recipe import PostTrained

MAX_DISTANCE = 0.25  # of a file from the quantized network; what is clipped goes far beyond
WAYS = ("converter", "litert-quantizer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizeModelConfig:
    """What to quantize, how, and where to."""

    source: QuantizationSource = group(QuantizationSource)
    quantization: PostTrainingConfig = group(PostTrainingConfig)
    out_file: str | None = flag(
        None,
        "The file: .tflite; .onnx (Q/DQ nodes); .pb, or a folder for the SavedModel (both with "
        "fake quantization). Without it beside the network, model_int8.tflite.",
        path=True,
    )
    way: str = flag(
        "converter",
        "What makes the .tflite file: TensorFlow's converter, or the package litert-quantizer.",
        choices=WAYS,
    )
    tflite_io: str = flag(
        "int8", "What the .tflite file takes and gives.", choices=("int8", "float32")
    )
    tflite_minutes: float = flag(
        20.0, "Time limit for making the file.", lower=0.0, upper=525_600.0, lower_open=True
    )
    compare: bool = flag(False, "Print the accuracy of every strategy; write no file.")
    nb_smpls_eval: int = flag(
        1000, "Samples that networks are compared on.", lower=1, upper=100_000
    )
    allow_float: bool = flag(False, "Leave operators that have no int8 form in float.")
    output_node: str | None = flag(None, "The output's node and its number, name:0; only checked.")
    input_node: str | None = flag(None, "The input's node and its number, name:0; only checked.")

    def check(self) -> None:
        """Find what cannot be, before TensorFlow starts.

        Raises:
            InputError: see the flags.
        """
        self.quantization.check()
        self.source.network.check()
        if self.way != "converter":
            if self.target.suffix != TFLITE:
                raise InputError(
                    f"`way` is of .tflite files. Received: --way={self.way}, --out_file="
                    f"{self.out_file}."
                )
            from utils.export.litert_quantizer import require_package

            require_package()
            if self.quantization.weight_bits not in (4, 8):
                raise InputError(
                    "`weight_bits` must be 4 or 8 with --way=litert-quantizer. Received: "
                    f"{self.quantization.weight_bits}."
                )
            if self.tflite_io != "int8":
                raise InputError(
                    "files by litert-quantizer take and give integers. Received: --tflite_io="
                    f"{self.tflite_io}. Give --way=converter."
                )
        elif self.quantization.activation_bits != 8 and not self.compare:
            raise InputError(
                "files have activations of 8 bits, but for --way=litert-quantizer. Received: "
                f"--activation_bits={self.quantization.activation_bits}. Give --way="
                "litert-quantizer."
            )
        if not (self.compare or self.quantization.scheme.is_quantized):
            raise InputError(
                "`strategy` null quantizes nothing; export_tflite.py --kinds=float32 writes the "
                "float file."
            )
        if not self.compare:
            check_output(self.target)

    @property
    def target(self) -> pathlib.Path:
        """The file that is written."""
        if self.out_file:
            return pathlib.Path(self.out_file)
        path = pathlib.Path(self.source.network.model_file or "model.keras")
        return path.with_name(f"{path.stem}_int8.tflite")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    found: list[str] = []

    def read() -> None:
        found.extend(argv_of(argv))

    status = guarded(read, argv)
    if status:
        return status

    def config_classes() -> list[type]:
        return [QuantizeModelConfig, *helper_configs(found)]

    return run_command(str(__doc__).strip(), config_classes, _run, found)


def _run(parsed: Parsed) -> None:
    config: QuantizeModelConfig = parsed.configs[QuantizeModelConfig]
    config.check()
    source = open_source(config.source, parsed)
    check_nodes(source, config.input_node, config.output_node)
    check_operators(source, allow_float=config.allow_float)
    if config.compare:
        from tools.conversion.strategy_table import compare, table

        rows = compare(source, config.quantization, config.nb_smpls_eval)
        out.print(table(rows, config.nb_smpls_eval))
        return
    say_few_bits(source, config)
    trained = source.quantize(config.quantization)
    if config.target.suffix == TFLITE:
        from utils.export.runner import TFLiteRunner

        content: Any = file_of(trained, config, source)
        runner: Callable[[Any], Any] = TFLiteRunner(content)
    else:
        content, runner = other_than_tflite(trained, config.target)
    try:
        _checked(runner, trained, config, source)
        size = put(content, config.target)
    finally:
        discard(content)
    out.print(f"{config.target}: {size:,} bytes", soft_wrap=True, highlight=False)


def say_few_bits(source: Opened, config: QuantizeModelConfig) -> None:
    """Name the kernels that litert-quantizer has no form of few bits for."""
    from utils.export.litert_quantizer import WHOLE_BITS
    from utils.graph import ops

    if config.way != "litert-quantizer" or config.quantization.weight_bits == WHOLE_BITS:
        return
    graph, plan = running_plan(source)
    rows = {node.layer: ops.find(graph, node) for node in graph.nodes}
    whole = [
        place.layer
        for place in plan.weights
        if (row := rows.get(place.layer)) is not None and row.window is None
    ]
    if whole:
        notes.print(
            f"note: litert-quantizer has {config.quantization.weight_bits}-bit weights for "
            "convolutions and dense layers; depthwise and transposed ones are held as int8: "
            f"{', '.join(whole[:5])}{', ...' * (len(whole) > 5)}.",
            markup=False,
        )


def check_nodes(source: Opened, *wanted: str | None) -> None:
    """Refuse nodes that are not the network's input and output; a number counts its nodes.

    Args:
        source: the network.
        *wanted: the input's and the output's `node:index`, None for what was not given.

    Raises:
        InputError: naming those that are.
    """
    graph = source.graph
    for kind, text, refs in zip(
        ("input", "output"), wanted, (graph.inputs, graph.outputs), strict=True
    ):
        if text is None:
            continue
        name, _, index = text.partition(":")
        if name.isdigit() and int(name) < len(graph.nodes):
            name = graph.nodes[int(name)].name
        known = {(ref.node, str(ref.index)) for ref in refs}
        if (name, index or "0") not in known:
            said = ", ".join(f"{node}:{number}" for node, number in sorted(known))
            raise InputError(
                f"`{kind}_node` must be an {kind} of the network: {said}. Received: {text!r}."
            )


def file_of(trained: PostTrained, config: QuantizeModelConfig, source: Opened) -> bytes:
    """Make the file.

    Args:
        trained: the quantized network.
        config: the way.
        source: samples, for the second way.

    Returns:
        Its content.

    Raises:
        ExportError: if it cannot be made.
    """
    from utils.export.conversion import Exported, convert_all
    from utils.graph import to_keras

    if config.way == "litert-quantizer":
        return _by_package(trained, source)
    convert = ConvertConfig(
        tflite_io=config.tflite_io, packed="never", tflite_minutes=config.tflite_minutes
    )
    deployed = to_keras(trained.deployed())
    network = Exported(name="after", model=deployed, deployed=deployed)
    made = convert_all([network], ["int8"], convert, None)[("after", "int8")]
    if made.content is None:
        raise ExportError(made.failed)
    for note in made.notes:
        notes.print(f"note: {note}", markup=False)
    return made.content


def _by_package(trained: PostTrained, source: Opened) -> bytes:
    from utils.export.litert_quantizer import quantized_file
    from utils.export.tflite import calibration_samples, convert
    from utils.graph import to_keras

    model = to_keras(trained.graph)
    return quantized_file(
        convert(model, "float32"),
        trained.ends(),
        calibration_samples(model, source.batches[:1])[:8],
        outputs=[ref.node for ref in trained.graph.outputs],
        weight_bits=trained.config.weight_bits,
        activation_bits=trained.config.activation_bits,
        per_channel=trained.config.is_per_channel,
    )


def _checked(
    runner: Callable[[Any], Any], trained: PostTrained, config: QuantizeModelConfig, source: Opened
) -> None:
    """Run the file on samples and compare it with both networks: in float, and quantized.

    Raises:
        ExportError: if it computes something else than the quantized network.
    """
    from tools.conversion.strategy_table import evaluation, scored
    from utils.graph import to_keras

    data = evaluation(source, config.nb_smpls_eval)
    names = [ref.node for ref in source.graph.inputs]

    def run(inputs: Any) -> Any:  # a file may have another order of its inputs
        return runner(dict(zip(names, inputs, strict=True)) if isinstance(inputs, list) else inputs)

    row = scored("file", data, to_keras(source.graph), run)
    own = scored("file", data, to_keras(trained.simulated()), run)
    if not own.distance <= MAX_DISTANCE:
        raise ExportError(
            f"the file is not the quantized network: the distance of its outputs is "
            f"{own.distance:.3g}. Take another --calibration, or the other --way."
        )
    accuracy = "" if row.accuracy is None else f", accuracy {row.accuracy:.2%}"
    before = "" if row.float_accuracy is None else f" of {row.float_accuracy:.2%} in float"
    agreement = "" if row.agreement is None else f"agreement {row.agreement:.2%}, "
    out.print(
        f"On {data.count} samples: {agreement}distance {row.distance:.4g}{accuracy}{before}; "
        f"from the quantized network {own.distance:.4g}",
        highlight=False,
    )
    operators = runner.float_operators() if hasattr(runner, "float_operators") else ()
    if operators:
        out.print(f"in float: {', '.join(sorted(set(operators)))}", highlight=False)


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
