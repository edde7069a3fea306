"""The table of what a graph can be rebuilt as, and the check that every file passes.

Files are made in a folder of their own, run there, and only moved to where they belong if they
compute what the graph computes: nothing half-written is ever seen.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.folders import nearest_folder, passing_folder
from utils.frontends import parity
from utils.graph import Graph, to_keras, traceable
from utils.graph.ir import leaves
from utils.reconstructors.rebuilding import border
from utils.reconstructors.values import Order, plain

Run = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""Inputs in the order of the graph's, outputs likewise."""

MAX_DISTANCE = 1e-3
"""Of a rebuilt network to the graph, where nothing else is asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A kind of file.

    Attributes:
        title: what it is, for people.
        ending: of the main file's name; empty for a folder.
        make: given the graph, the path of the main file and whether maps have their channels last
            at the border, writes it (and what belongs beside it) and gives what runs it.
        moves_maps: whether maps at its border have their channels first unless told otherwise.
    """

    title: str
    ending: str
    make: Callable[[Graph, pathlib.Path, bool], Run]
    moves_maps: bool = False


def _keras(graph: Graph, path: pathlib.Path, channels_last: bool) -> Run:
    from utils.files import load_keras_model

    own = [node.name for node in graph.nodes if node.op.startswith("Flowpress>")]
    if own:
        raise InputError(
            f"{len(own)} nodes are of classes that only Flowpress has: "
            f"{', '.join(map(repr, own))}. A .keras file must load without it. Choose another "
            "target."
        )
    to_keras(graph).save(path)
    return keras_run(load_keras_model(path, allow_unsafe=graph.allow_unsafe))


def keras_run(model: Any) -> Run:
    """Make the function that runs a Keras model."""
    import keras

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        packed = keras.tree.pack_sequence_as(model._inputs_struct, list(inputs))
        return [np.asarray(each) for each in keras.tree.flatten(model(packed, training=False))]

    return run


def _torch(graph: Graph, path: pathlib.Path, channels_last: bool) -> Run:
    from utils.reconstructors.torch_module import TorchRunner, torch_module

    source, weights = torch_module(graph, channels_last=channels_last)
    path.write_text(source, encoding="utf-8")
    path.with_suffix(".pth").write_bytes(weights)
    return TorchRunner(path, path.with_suffix(".pth"))


def _onnx(graph: Graph, path: pathlib.Path, channels_last: bool) -> Run:
    from utils.export.onnx_qdq import OnnxRunner
    from utils.reconstructors.onnx_model import onnx_model

    path.write_bytes(onnx_model(graph, channels_last=channels_last))
    runner = OnnxRunner(path.read_bytes())
    return lambda inputs: _listed(runner(list(inputs)))


def _listed(found: Any) -> list[np.ndarray]:
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _saved_model(graph: Graph, path: pathlib.Path, channels_last: bool) -> Run:
    import keras
    import tensorflow as tf

    from utils.export.quiet import quiet_native

    model = traceable(to_keras(graph))
    with quiet_native():
        model.export(os.fspath(path), verbose=False)
        loaded = tf.saved_model.load(os.fspath(path))

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        packed = keras.tree.pack_sequence_as(model._inputs_struct, list(map(tf.constant, inputs)))
        return [np.asarray(each) for each in keras.tree.flatten(loaded.serve(packed))]

    return run


def _frozen(graph: Graph, path: pathlib.Path, channels_last: bool) -> Run:
    from utils.export.frozen_graph import FrozenRunner, frozen_graph

    model = traceable(to_keras(graph))
    path.write_bytes(frozen_graph(model))
    runner = FrozenRunner(path.read_bytes())
    names = [tensor.name for tensor in model.inputs]  # the file has them in an order of its own
    return lambda inputs: _listed(runner(dict(zip(names, inputs, strict=True))))


TARGETS: Mapping[str, Target] = {
    "keras": Target(title="a Keras network", ending=".keras", make=_keras),
    "torch": Target(
        title="a torch.nn.Module, its weights beside it", ending=".py", make=_torch, moves_maps=True
    ),
    "onnx": Target(title="an ONNX model", ending=".onnx", make=_onnx, moves_maps=True),
    "saved_model": Target(title="a SavedModel", ending="", make=_saved_model),
    "pb": Target(title="a frozen graph", ending=".pb", make=_frozen),
}


def distance(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Measure how far outputs are from those expected.

    Args:
        found: arrays.
        expected: as many arrays.

    Returns:
        max |difference| / max |expected|, of the worst output; `inf` for other shapes, or where
        values of one of both are no numbers.

    Example:
        >>> distance([np.array([1.0, 2.2])], [np.array([1.0, 2.0])]).__round__(6)
        0.1
    """
    pairs = zip(found, expected, strict=True)
    return max((parity.distance(given, wanted) for given, wanted in pairs), default=0.0)


def random_inputs(graph: Graph, seed: int = 0, batch: int = 2) -> list[np.ndarray]:
    """Draw inputs for a check.

    Args:
        graph: the network.
        seed: of the draw.
        batch: samples; open sizes are 8.

    Returns:
        Normal floats, small integers, in the order of the graph's inputs.
    """
    generator = np.random.default_rng(seed)
    tables = [node for node in graph.nodes if node.op == "keras.layers.Embedding"]
    limit = parity.integer_limit(int(node.attrs["input_dim"]) for node in tables)
    found = []
    for ref in graph.inputs:
        shape = (batch, *(size or 8 for size in graph.shape(ref)[1:]))
        if graph.shape(ref)[0] is not None:
            shape = (graph.shape(ref)[0] or batch, *shape[1:])
        dtype = graph.dtype(ref)
        values: Any = generator.normal(size=shape)
        if "float" not in dtype:
            values = generator.integers(0, 2 if dtype == "bool" else limit, shape)
        found.append(values.astype("float32" if "float" in dtype else dtype))
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What was rebuilt.

    Attributes:
        files: where it lies; empty if it was only tried.
        distance: of its outputs to those of the graph in Keras.
        to_result: of its outputs to a given result; None without one.
    """

    files: tuple[pathlib.Path, ...]
    distance: float
    to_result: float | None


def rebuild(
    graph: Graph,
    kind: str,
    save_path: str | os.PathLike[str] | None,
    *,
    inputs: Sequence[np.ndarray] | None = None,
    result: Sequence[np.ndarray] | None = None,
    tolerance: float = MAX_DISTANCE,
    channels_last: bool = False,
) -> Rebuilt:
    """Rebuild a graph, check what came out, and move it to its place.

    Args:
        graph: the network.
        kind: a key of `TARGETS`.
        save_path: of the main file or folder, with its ending; None tries only.
        inputs: for the check, in the order of Keras; drawn at random without them.
        result: of another framework for these inputs.
        tolerance: the greatest distance to the graph in Keras, and to the result.
        channels_last: maps of PyTorch and ONNX have their channels last at the border, too.

    Raises:
        InputError: if a node has no form in the target, or what came out is too far away; no file
            is written then.
    """
    target = TARGETS[kind]
    if save_path:
        check_place(pathlib.Path(save_path), target)
    given = random_inputs(graph) if inputs is None else list(inputs)
    expected = keras_run(to_keras(graph))(given)
    stem = pathlib.Path(save_path).name if save_path else f"network{target.ending}"
    parent = pathlib.Path(save_path).absolute().parent if save_path else None
    where = nearest_folder(save_path) if save_path else None
    with passing_folder(where) as folder:
        run = target.make(graph, pathlib.Path(folder) / stem, channels_last)
        found = run_at_border(target, graph, run, given, channels_last=channels_last)
        near = distance(found, expected)
        to_result = None if result is None else distance(found, list(result))
        _check(target, near, to_result, tolerance)
        files = () if parent is None else _moved_in(pathlib.Path(folder), parent)
    return Rebuilt(files=files, distance=near, to_result=to_result)


def check_place(path: pathlib.Path, target: Target) -> None:
    """Refuse a path whose content would be lost: of folders only SavedModels are replaced.

    Args:
        path: of the main file or folder.
        target: what will be written.

    Raises:
        InputError: if it is another folder, or has no name.
    """
    is_model = not target.ending and (path / "saved_model.pb").is_file()
    if path.name in ("", "..") or (path.is_dir() and not is_model and any(path.iterdir())):
        raise InputError(
            f"cannot write {str(path)!r}: it is a folder that holds other things. Choose another "
            "path."
        )


def run_at_border(
    target: Target,
    graph: Graph,
    run: Run,
    inputs: Sequence[np.ndarray],
    *,
    channels_last: bool,
) -> list[np.ndarray]:
    """Run a rebuilt network with its maps at the border as it wants them.

    Args:
        target: what it was rebuilt as.
        graph: what it was rebuilt from.
        run: runs it.
        inputs: in the order of Keras.
        channels_last: as it was rebuilt.

    Returns:
        Outputs in the order of Keras.
    """
    last = channels_last or not target.moves_maps
    given = [np.ascontiguousarray(each.transpose(border(each.ndim, last))) for each in inputs]
    found = run(given)
    ranks = [len(graph.shape(ref)) for ref in leaves(graph.output_structure)]
    return [
        np.asarray(each).transpose(_back(border(rank, last)))
        for each, rank in zip(found, ranks, strict=True)
    ]


def _back(order: Order) -> Order:
    return tuple(order.index(axis) for axis in plain(len(order)))


def _check(target: Target, near: float, to_result: float | None, tolerance: float) -> None:
    for name, each in (("the graph in Keras", near), ("the given result", to_result)):
        if each is not None and not each <= tolerance:
            raise InputError(
                f"{target.title} is at a distance of {each:.3g} from {name}, more than "
                f"{tolerance:.3g}: nothing was written. Compare it layer by layer, or raise "
                "--tolerance if that is near enough."
            )


def _moved_in(folder: pathlib.Path, parent: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Move what lies in a folder to where it belongs, each file or folder by one renaming."""
    places = []
    for entry in sorted(folder.iterdir()):
        place = parent / entry.name
        try:
            parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir() and not place.is_symlink():  # empty, or a SavedModel
                shutil.rmtree(place)
            os.replace(entry, place)
        except OSError as error:
            raise InputError(f"cannot write {str(place)!r}: {error.strerror}.") from error
        places.append(place)
    return tuple(places)
