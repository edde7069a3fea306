"""What a quantized network is written as, by the ending of the file."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
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
    import keras
    import numpy as np
    import tensorflow as tf

    from utils.export.saved_model import write_saved_model

    folder = pathlib.Path(tempfile.mkdtemp(prefix=passing_prefix(path.parent), dir=path.parent))
    folder.chmod(0o755)
    try:
        write_saved_model(model, folder)
        loaded = tf.saved_model.load(str(folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise

    def run(inputs: Any) -> Any:
        flat = keras.tree.flatten(inputs)
        if isinstance(inputs, dict):
            flat = [inputs[tensor.name] for tensor in keras.tree.flatten(model.input)]
        parts = [
            keras.tree.flatten(
                loaded.serve(
                    keras.tree.pack_sequence_as(
                        model.input, [tf.constant(each[row : row + 1]) for each in flat]
                    )
                )
            )
            for row in range(len(flat[0]))
        ]
        joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return joined[0] if len(joined) == 1 else joined

    return folder, run


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
