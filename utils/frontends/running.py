"""Networks run by the framework they come from, to compare a conversion with."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from utils.export.quiet import quiet_native

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], dict[str, np.ndarray]]
"""From inputs by the source's names, in its order of axes, to outputs likewise."""


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """Let TensorFlow compute in float32 as it is: GPUs drop bits of it (TF32) by default."""
    from tensorflow import config

    is_reduced = config.experimental.tensor_float_32_execution_enabled()
    config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.experimental.enable_tensor_float_32_execution(is_reduced)


def tflite(path: str, **_: Any) -> Run:
    """Run a `.tflite` file in LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    from utils.frontends.tflite.file import parse

    with quiet_native():
        interpreter = Interpreter(path)
    found = parse(pathlib.Path(path).read_bytes())

    def run(inputs: Arrays) -> dict[str, np.ndarray]:
        for name, index in found.inputs.items():
            interpreter.resize_tensor_input(index, inputs[name].shape)
        with quiet_native():
            interpreter.allocate_tensors()
        for name, index in found.inputs.items():
            interpreter.set_tensor(index, inputs[name])
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in found.outputs.items()}

    return run


def tensorflow(path: str, **_: Any) -> Run:
    """Run a SavedModel or a frozen graph in a session.

    Raises:
        InputError: if it would do more than compute.
    """
    import tensorflow as tf

    from utils.frontends.tensorflow.harmless import check_graph, check_saved_model
    from utils.frontends.tensorflow.reader import read_graph
    from utils.frontends.tensorflow.saved_model import served

    target = pathlib.Path(path)
    target = target.parent if target.name == "saved_model.pb" else target
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        if target.is_dir():
            meta, signature = served(target)
            check_saved_model(meta, [info.name for info in signature.outputs.values()])
            with quiet_native():
                tf.compat.v1.saved_model.loader.load(
                    session, list(meta.meta_info_def.tags), os.fspath(target)
                )
            sources = {name: info.name for name, info in signature.inputs.items()}
            ends = {name: info.name for name, info in signature.outputs.items()}
        else:
            definition = tf.compat.v1.GraphDef()
            definition.ParseFromString(target.read_bytes())
            found = read_graph(target)
            check_graph(definition, found.outputs)
            tf.import_graph_def(definition, name="")
            sources = {name: f"{node}:{i}" for name, (node, i) in found.inputs.items()}
            ends = {name: name if ":" in name else f"{name}:0" for name in found.outputs}

    def run(inputs: Arrays) -> dict[str, np.ndarray]:
        fed = {sources[name]: array for name, array in inputs.items()}
        with whole_float32():
            made: dict[str, np.ndarray] = session.run(ends, fed)
        return made

    return run


def keras(path: str, *, allow_unsafe: bool = False, **_: Any) -> Run:
    """Run a Keras file as Keras loads it."""
    from utils.frontends.keras.reader import convert

    loaded = convert(path, allow_unsafe=allow_unsafe)

    def run(inputs: Arrays) -> dict[str, np.ndarray]:
        arrays = [inputs[name] for name in loaded.input_orders]
        with whole_float32():
            outputs = loaded.model(arrays if len(arrays) > 1 else arrays[0], training=False)
        flat = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return dict(zip(loaded.output_orders, map(np.asarray, flat), strict=True))

    return run


def onnx(path: str, **_: Any) -> Run:
    """Run an ONNX file in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    wanted = session.get_inputs()

    def run(inputs: Arrays) -> dict[str, np.ndarray]:
        fed = {each.name: _as_wanted(inputs.get(each.name), each) for each in wanted}
        return dict(zip(names, map(np.asarray, session.run(names, fed)), strict=True))

    return run


def _as_wanted(array: np.ndarray | None, wanted: Any) -> np.ndarray:
    """An input in the type the file declares; zeros for one that the network does not use."""
    kind = wanted.type.removeprefix("tensor(").removesuffix(")")
    dtype = {"float": "float32", "double": "float64"}.get(kind, kind)
    if array is None:
        return np.zeros([size if isinstance(size, int) else 1 for size in wanted.shape], dtype)
    return np.ascontiguousarray(array).astype(dtype)


def torch(path: str, *, weights: str | None = None, **_: Any) -> Run:
    """Run a PyTorch module, in a process of its own."""
    from utils.frontends.torch.process import TorchProcess

    return TorchProcess(path, weights).run


RUNS: Mapping[str, tuple[Callable[..., Run], str]] = {
    "keras": (keras, "keras"),
    "onnx": (onnx, "onnxruntime"),
    "tensorflow": (tensorflow, "tensorflow"),
    "torch": (torch, "torch"),
    "tflite": (tflite, "ai_edge_litert"),
}
"""How each framework runs its networks, and the package that this needs."""


def source_run(framework: str, path: str, **options: Any) -> Run | None:
    """Find what runs a network of a framework; None where the framework is not installed.

    Args:
        framework: a name in `utils.frontends.FRONTENDS`.
        path: as given to `utils.frontends.convert.convert`.
        **options: likewise.
    """
    if framework not in RUNS or importlib.util.find_spec(RUNS[framework][1]) is None:
        return None
    return RUNS[framework][0](path, **options)
