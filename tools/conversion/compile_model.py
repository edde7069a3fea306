r"""Make a checked graph of a network of any framework: Keras, TensorFlow, PyTorch, ONNX, MXNet.

    python tools/conversion/compile_model.py onnx net.onnx --out_dir=moffett_ir
    python tools/conversion/compile_model.py tflite net.tflite
    python tools/conversion/compile_model.py tensorflow saved_model_folder
    python tools/conversion/compile_model.py torch my_net.py:build --weights=net.pth \
        --input_shape=1,3,224,224
    python tools/conversion/compile_model.py mxnet net 0 --input_npy=x.npy --result_npy=y.npy

writes IR_for_reconstruct_{graph.json,graph.png,params.npz}, the trainable network, and
IR_fused_for_CModel_{…}, the same with batch norm and activations inside the layers before them. The
graph is compared with the source framework, where that is installed, or with given arrays. Whatever
fails, nothing is written; operators that cannot be converted are named, all at once.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from tools.command import run_command
from utils.command import notes, out
from utils.errors import InputError
from utils.export.quiet import quiet_native
from utils.files import check_writable
from utils.flags import Parsed, flag
from utils.folders import passing_folder
from utils.frontends import ALIASES, find_frontend

if TYPE_CHECKING:
    from utils.frontends.convert import Converted
    from utils.graph import Graph

RECONSTRUCT, FUSED = "IR_for_reconstruct", "IR_fused_for_CModel"
_PARTS = ("graph.json", "graph.png", "params.npz")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileConfig:
    """What to write, and what to compare with."""

    out_dir: str = flag(
        "moffett_ir", "Folder for the files; it is made if it is missing.", path=True
    )
    input_npy: str | None = flag(
        None,
        "Inputs to compare on, in the source's order of axes: a .npy, several separated by commas, "
        "or a .npz by name.",
        path=True,
        needs=("result_npy", "the outputs that belong to the inputs"),
    )
    result_npy: str | None = flag(
        None,
        "The source network's outputs for --input_npy, likewise.",
        path=True,
        needs=("input_npy", "the inputs that give the outputs"),
    )
    tolerance: float = flag(
        1e-4,
        "Largest distance: |difference| over the largest |output|.",
        lower=0.0,
        lower_open=True,
    )
    input_shape: str | None = flag(
        None, "Sizes that the file leaves open, batch included, e.g. 1,3,224,224."
    )
    weights: str | None = flag(
        None,
        "PyTorch: the state dict (.pt, .pth, .th) of the module. MXNet: the .params file.",
        path=True,
    )
    picture: str = flag("png", "Draw the graphs as well.", choices=("png", "none"))
    seed: int = flag(0, "Of the random inputs to compare on.", lower=0, upper=2**31 - 1)
    allow_unsafe: bool = flag(False, "Load a model that holds Python code (Lambda layers).")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: framework, model and, of MXNet, the epoch; then flags.

    Returns:
        The exit status.
    """
    places = [i for i, argument in enumerate(argv) if argument.startswith("-")]
    count = min(places[0] if places else len(argv), 3)
    words, rest = list(argv[:count]), list(argv[count:])
    return run_command(
        str(__doc__).strip(), lambda: [CompileConfig], lambda parsed: _run(words, parsed), rest
    )


def _run(words: Sequence[str], parsed: Parsed) -> None:
    config: CompileConfig = parsed.configs[CompileConfig]
    if len(words) < 2:
        raise InputError(
            "give the framework and the model: compile_model.py onnx net.onnx. Received: "
            f"{' '.join(words) or 'none'}."
        )
    framework, model = ALIASES.get(words[0], words[0]), words[1]
    find_frontend(framework)
    folder = pathlib.Path(config.out_dir)
    check_writable(folder / f"{RECONSTRUCT}_{_PARTS[0]}")
    with quiet_native():  # TensorFlow's start
        import tensorflow  # noqa: F401

    from utils.frontends.convert import convert
    from utils.frontends.loading import reader_options

    options = reader_options(
        framework,
        input_shape=config.input_shape,
        weights=config.weights,
        epoch=_epoch(words[2]) if len(words) > 2 else None,
        allow_unsafe=config.allow_unsafe or None,
    )

    converted = convert(framework, model, **options)
    for note in converted.notes:
        notes.print(f"note: {note}", markup=False)
    from utils.graph import from_keras
    from utils.graph.fold import fold

    graph = from_keras(converted.model, allow_unsafe=config.allow_unsafe)
    fused = fold(graph)

    def check(graphs: Mapping[str, Graph]) -> None:
        _compare(framework, model, converted, graphs, config, options)

    write({RECONSTRUCT: graph, FUSED: fused}, folder, check, picture=config.picture == "png")
    out.print(f"{folder}: {len(graph.nodes)} nodes, {len(fused.nodes)} fused.", markup=False)


def _epoch(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"behind the model stands an epoch, a whole number. Received: {text!r}.")
    return int(text)


def _compare(
    framework: str,
    model: str,
    converted: Converted,
    graphs: Mapping[str, Graph],
    config: CompileConfig,
    options: Mapping[str, Any],
) -> None:
    """Compare both graphs, rebuilt, with the source; print the distances.

    Raises:
        InputError: if one is above the tolerance.
    """
    from utils.frontends import parity
    from utils.frontends.running import source_run
    from utils.graph import to_keras

    if config.input_npy and config.result_npy:
        inputs = parity.read_arrays("input_npy", config.input_npy, list(converted.input_orders))
        wanted = parity.read_arrays("result_npy", config.result_npy, list(converted.output_orders))
        model_in, model_out = converted.model.inputs, converted.model.outputs
        parity.check_shapes("input_npy", inputs, model_in, converted.input_orders)
        parity.check_shapes("result_npy", wanted, model_out, converted.output_orders)
        against = config.result_npy
    else:
        inputs = parity.random_inputs(converted, config.seed)
        run = source_run(framework, model, **options)
        if run is None:
            notes.print(
                f"note: not compared with {framework}, which is not installed. Compare with its "
                "results by --input_npy and --result_npy.",
                markup=False,
            )
            wanted, against = parity.outputs(converted, inputs), "the converted network"
        else:
            wanted, against = run(inputs), framework
    parity.check_finite(wanted, against)
    for name, graph in graphs.items():
        made = parity.run_model(to_keras(graph), converted, inputs)
        found = parity.worst(made, wanted)
        out.print(f"{name}: distance to {against}: {found:.2e}", markup=False)
        if not found <= config.tolerance:
            raise InputError(
                f"{name} is {found:.2e} away from {against}, at most {config.tolerance:g} is "
                "accepted (--tolerance). Nothing was written."
            )


def write(
    graphs: Mapping[str, Graph],
    folder: pathlib.Path,
    check: Callable[[Mapping[str, Graph]], None],
    *,
    picture: bool,
) -> None:
    """Write graphs under names of their own, all of them or none.

    Args:
        graphs: by name.
        folder: is made if it is missing.
        check: is given the graphs as they are read back; what it raises leaves nothing written.
        picture: whether to draw them, too; with Graphviz where it is installed.

    Raises:
        InputError: if the folder cannot be written.
    """
    from utils.graph import disk
    from utils.graph.draw import draw
    from utils.graph.plain_picture import draw_plain

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with passing_folder(folder) as temporary:
            made = pathlib.Path(temporary)
            read = {}
            for name, graph in graphs.items():
                files = made / f"{name}_{_PARTS[0]}", made / f"{name}_{_PARTS[2]}"
                disk.save_files(graph, *files)
                read[name] = disk.load_files(*files, allow_unsafe=graph.allow_unsafe)
            check(read)
            for name, graph in graphs.items():
                if picture:
                    paint = draw if shutil.which("dot") else draw_plain
                    paint(graph, made / f"{name}_{_PARTS[1]}")
            for path in sorted(made.iterdir()):
                path.replace(folder / path.name)
    except OSError as error:
        raise InputError(f"`out_dir`: {folder} cannot be written: {error.strerror}.") from error


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
