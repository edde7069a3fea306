"""What the commands that rebuild a graph in another framework share: flags, files, the check."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tools.command import run_command
from tools.graph_tools.source import SourceConfig
from utils.command import out
from utils.errors import InputError
from utils.export.quiet import quiet_native
from utils.files import check_writable
from utils.flags import Parsed, flag
from utils.reconstructors.needs import require_torch

if TYPE_CHECKING:
    import numpy as np

    from utils.graph import Graph


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReconstructConfig:
    """What to rebuild, where to write it, what to compare it with."""

    graph: str | None = flag(
        None,
        "The graph's description, such as compile_model.py's IR_for_reconstruct_graph.json.",
        path=True,
        needs=("params", "the arrays of the graph"),
        rivals=("model_file",),
    )
    params: str | None = flag(
        None,
        "The .npz file with the arrays of --graph.",
        path=True,
        needs=("graph", "the description of the graph"),
    )
    model_file: str | None = flag(
        None,
        "Instead of the two: a .keras or .h5 file, or a folder that export_graph.py wrote.",
        path=True,
    )
    input_npy: str | None = flag(
        None,
        "Inputs for the check: a .npy file, several separated by commas, or a .npz file by name. "
        "Maps as the graph takes them, or channels first. Without it: random ones.",
        path=True,
    )
    result_npy: str | None = flag(
        None,
        "The training framework's outputs for --input_npy, likewise: also compared with.",
        path=True,
        needs=("input_npy", "the inputs that give the outputs"),
    )
    save_path: str | None = flag(
        None, "What to write; without it the network is only tried.", path=True
    )
    tolerance: float = flag(
        1e-3,
        "Largest distance, |difference| over the largest |output|, with which it is written.",
        lower=0.0,
        lower_open=True,
    )
    channels_last: bool = flag(
        False,
        "PyTorch and ONNX: maps that come in and go out keep the order of Keras, too, instead of "
        "channels first.",
    )
    seed: int = flag(0, "Of the random inputs.", lower=0, upper=2**31 - 1)
    allow_unsafe: bool = flag(False, "Load a model that holds Python code (Lambda layers).")

    def source(self) -> SourceConfig:
        """Say where the graph comes from.

        Raises:
            InputError: if nothing is given, or it is not there.
        """
        if not (self.graph or self.model_file):
            raise InputError(
                "give the graph: --graph=IR_for_reconstruct_graph.json "
                "--params=IR_for_reconstruct_params.npz, or --model_file=model.keras. Received: "
                "none."
            )
        for name, path in (("graph", self.graph), ("params", self.params)):
            if path and not pathlib.Path(path).is_file():
                raise InputError(f"`{name}`: there is no file {path!r}.")
        source = SourceConfig(
            model_file=self.model_file,
            graph_json=self.graph,
            params_file=self.params,
            allow_unsafe=self.allow_unsafe,
        )
        source.check()
        return source


Choose = Callable[[str | None], str]
"""Given --save_path, the kind of file; raises `InputError` for a wrong ending."""


def ending_in(kind: str, ending: str, example: str) -> Choose:
    """Make the choice of a command that writes one kind of file.

    Args:
        kind: a key of `utils.reconstructors.targets.TARGETS`.
        ending: that `--save_path` must have.
        example: of a path.
    """

    def choose(save_path: str | None) -> str:
        if save_path and pathlib.Path(save_path).suffix != ending:
            raise InputError(
                f"`save_path` must end in {ending}. Received: {save_path!r}. Give "
                f"--save_path={example}."
            )
        return kind

    return choose


def reconstruct(summary: str, choose: Choose, argv: Sequence[str]) -> int:
    """Run one of the commands.

    Args:
        summary: its module's docstring.
        choose: says what kind of file is written.
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    return run_command(
        summary.strip(), lambda: [ReconstructConfig], lambda parsed: _run(choose, parsed), argv
    )


def _run(choose: Choose, parsed: Parsed) -> None:
    config: ReconstructConfig = parsed.configs[ReconstructConfig]
    kind = choose(config.save_path)
    source = config.source()
    if config.save_path and not pathlib.Path(config.save_path).is_dir():
        check_writable(config.save_path)
    _check_package(kind)
    graph = source.graph()
    with quiet_native():
        from utils.reconstructors import targets

    inputs, result = _given(graph, config)
    rebuilt = targets.rebuild(
        graph,
        kind,
        config.save_path,
        inputs=targets.random_inputs(graph, config.seed) if inputs is None else inputs,
        result=result,
        tolerance=config.tolerance,
        channels_last=config.channels_last,
    )
    out.print(f"distance to the graph in Keras: {rebuilt.distance:.3g}", markup=False)
    if rebuilt.to_result is not None:
        out.print(f"distance to {config.result_npy}: {rebuilt.to_result:.3g}", markup=False)
    for path in rebuilt.files:
        out.print(f"wrote {path}", markup=False)


def _check_package(kind: str) -> None:
    """Refuse a missing package before TensorFlow takes its seconds to start."""
    if kind == "torch":
        require_torch()
    if kind == "onnx":
        with quiet_native():  # TensorFlow's start
            from utils.export.onnx_qdq import require_packages

        require_packages()


def _given(
    graph: Graph, config: ReconstructConfig
) -> tuple[list[np.ndarray] | None, list[np.ndarray] | None]:
    """Read what the check is made on; a result's batch is that of the inputs."""
    if config.input_npy is None:
        return None, None
    from utils.frontends import parity
    from utils.graph.ir import leaves

    refs = {"input_npy": list(graph.inputs), "result_npy": list(leaves(graph.output_structure))}
    found: dict[str, list[np.ndarray]] = {}
    for name, text in (("input_npy", config.input_npy), ("result_npy", config.result_npy)):
        if text is None:
            continue
        wanted = refs[name]
        names = [f"{ref.node}:{ref.index}" if ref.index else ref.node for ref in wanted]
        names = names if len(set(names)) == len(names) else [str(i) for i in range(len(names))]
        arrays = parity.read_arrays(name, text, names)
        found[name] = [
            _as_keras(name, array, graph.shape(ref))
            for ref, array in zip(wanted, arrays.values(), strict=True)
        ]
    inputs = [
        array.astype("float32" if "float" in graph.dtype(ref) else graph.dtype(ref))
        for ref, array in zip(graph.inputs, found["input_npy"], strict=True)
    ]
    return inputs, found.get("result_npy")


def _as_keras(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """Give an array in the order of Keras: as it is if that fits, else from channels first.

    Raises:
        InputError: if neither fits.
    """
    if _fits(array.shape, shape):
        return array
    if array.ndim == len(shape) > 2:
        moved = array.transpose(0, *range(2, array.ndim), 1)
        if _fits(moved.shape, shape):
            return moved
    wanted = ", ".join("n" if size is None else str(size) for size in shape)
    raise InputError(f"`{name}` must have the shape ({wanted}). Received: {array.shape}.")


def _fits(shape: Sequence[int], declared: Sequence[int | None]) -> bool:
    return len(shape) == len(declared) and all(
        wanted is None or size == wanted for size, wanted in zip(shape, declared, strict=True)
    )
