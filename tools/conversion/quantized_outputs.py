"""What a quantized network is written as, by the ending of the file."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from utils.errors import InputError
from utils.files import atomic_path, check_writable
from utils.folders import passing_prefix

if TYPE_CHECKING:
    from learners.post_training.recipe import PostTrained

TFLITE, ONNX, FROZEN, FOLDER = ".tflite", ".onnx", ".pb", ""
ENDINGS = (TFLITE, ONNX, FROZEN, FOLDER)


def check_output(path: pathlib.Path) -> None:
    """Refuse a path that cannot be written, or an ending that says nothing.

    Raises:
        InputError: naming the endings that there are; if a package is missing; if a folder is
            there already.
    """
    if path.suffix not in ENDINGS:
        raise InputError(
            "`out_file` must end in .tflite, .onnx or .pb, or have no ending (a folder, the "
            f"SavedModel). Received: {str(path)!r}."
        )
    if path.suffix == ONNX:
        from utils.export.onnx_qdq import require_packages

        require_packages()
    if path.suffix == FOLDER and path.exists():
        raise InputError(f"`out_file`: {path} exists. Name a folder that does not, or remove it.")
    check_writable(path)


def other_than_tflite(trained: PostTrained, path: pathlib.Path) -> tuple[Any, Callable[[Any], Any]]:
    """Make a file that is no `.tflite` file.

    Args:
        trained: the quantized network.
        path: which.

    Returns:
        Its content, of a folder the temporary one that holds it, and the function that runs it.

    Raises:
        InputError: for a layer that has no form in ONNX here.
    """
    from utils.graph import to_keras

    if path.suffix == ONNX:
        from utils.export.onnx_qdq import OnnxRunner, qdq_model

        content = qdq_model(
            trained.graph,
            trained.plan,
            trained.scalings,
            trained.weights,
            unsigned=trained.config.scheme.is_affine,
        )
        return content, OnnxRunner(content)
    model = to_keras(trained.deployed())
    if path.suffix == FROZEN:
        from utils.export.frozen_graph import FrozenRunner, frozen_graph

        content = frozen_graph(model)
        return content, FrozenRunner(content)
    return _saved_model(model, path)


def _saved_model(model: Any, path: pathlib.Path) -> tuple[pathlib.Path, Callable[[Any], Any]]:
    from utils.export.saved_model import write_saved_model
    from utils.frontends import running

    folder = pathlib.Path(tempfile.mkdtemp(prefix=passing_prefix(path.parent), dir=path.parent))
    folder.chmod(0o755)
    try:
        write_saved_model(model, folder)
        serve = running.tensorflow(str(folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, _by_samples(serve, [tensor.name for tensor in model.inputs])


def _by_samples(serve: Callable[..., Any], names: Sequence[str]) -> Callable[[Any], Any]:
    """Run what takes one sample, by the names of its inputs, on batches as the network takes them.

    Args:
        serve: gives outputs [1, …] by name.
        names: of the inputs, in the network's order.
    """
    import keras
    import numpy as np

    def run(inputs: Any) -> Any:
        by_name = isinstance(inputs, dict)
        flat = [inputs[name] for name in names] if by_name else keras.tree.flatten(inputs)
        made = [
            serve({name: part[row : row + 1] for name, part in zip(names, flat, strict=True)})
            for row in range(len(flat[0]))
        ]
        ends = sorted(made[0], key=_place)
        joined = [np.concatenate([sample[name] for sample in made]) for name in ends]
        return joined[0] if len(joined) == 1 else joined

    return run


def _place(name: str) -> tuple[str, int]:
    """Order outputs as the network does: `output_10` behind `output_9`, others by name."""
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if stem == "output" and number.isdigit() else (name, 0)


def discard(content: Any) -> None:
    """Remove the temporary folder of what was not put in its place."""
    if isinstance(content, pathlib.Path):
        shutil.rmtree(content, ignore_errors=True)


def put(content: Any, path: pathlib.Path) -> int:
    """Put a file, or a folder, in its place.

    Args:
        content: bytes, or the folder that holds it.
        path: the place.

    Returns:
        Its bytes.
    """
    if isinstance(content, bytes):
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        return len(content)
    os.replace(content, path)
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
