"""Puts a finished run into the zoo: the original network once, and the one that the run left.

    ZOO/vision/classification/resnet50v1b/
        original/                       resnet50v1b.keras, its int8 file, moffett_ir/
        20200717_sp93.75_224x224/       resnet50v1b_sparse_93.75.keras, its files, moffett_ir/
        checklist.json, checklist.md    a row for each

Everything is made in a folder beside, and moved to its place when all of it is there.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from utils.errors import InputError
from utils.files import load_keras_model
from utils.folders import nearest_folder, passing_folder
from utils.graph import Graph, from_keras
from utils.zoo import checklist
from utils.zoo.checklist import Row
from utils.zoo.passes import Passed, WriteGraphs, run_passes
from utils.zoo.place import Place
from utils.zoo.run import Run, Side, score

ORIGINAL, GRAPHS = "original", "moffett_ir"


def sparse_rate(before: Side, after: Side) -> float:
    """Percent of the original's weights that are gone or zero, to two decimals."""
    share = 1.0 - after.facts.nonzeros / max(before.facts.params, 1)
    return round(max(100.0 * share, 0.0), 2)


def size_text(graph: Graph) -> str:
    """Name the size of a network's first input: `224x224` of images, else all sizes.

    Example:
        >>> import keras
        >>> inputs = keras.Input((32, 24, 3))
        >>> size_text(from_keras(keras.Model(inputs, keras.layers.Flatten()(inputs))))
        '32x24'
    """
    sizes: Sequence[int | None] = graph.shape(graph.inputs[0])[1:]
    sizes = sizes[:2] if len(sizes) == 3 else sizes
    return "x".join("any" if size is None else str(size) for size in sizes) or "scalar"


def publish(run: Run, place: Place, date: str, write_graphs: WriteGraphs) -> tuple[Row, ...]:
    """Publish a run.

    Args:
        run: the run.
        place: where to.
        date: of the training, such as 20200712.
        write_graphs: see `run_passes`.

    Returns:
        The rows that are new in the checklist.

    Raises:
        InputError: if a network does not pass, another original lies there already, or this
            network was published before; the zoo is as it was then.
    """
    place.check()
    rows = checklist.read(place.folder)
    before, after = _graph(run.before), _graph(run.after)
    rate = sparse_rate(run.before, run.after)
    name = f"{date}_sp{rate:g}_{size_text(after)}"
    if (place.folder / name).exists():
        raise InputError(
            f"{place.folder / name} exists already. Give another --date, or remove it."
        )
    where = nearest_folder(place.folder / name)
    with passing_folder(where) as temporary:
        made = pathlib.Path(temporary)
        original = _assemble(run.before, before, made / ORIGINAL, place.model, write_graphs)
        stem = f"{place.model}_sparse_{rate:g}"
        sparse = _assemble(run.after, after, made / name, stem, write_graphs)
        shutil.copy2(run.report, made / name / run.report.name)
        known = _is_known(place, rows, original)
        whole = Row(
            model=place.model,
            folder=ORIGINAL,
            sparse_rate=0.0,
            original_accuracy=score(run.before.facts),
            training_date=date,
            input_shape=size_text(before),
            **_found(run.before, original),
        )
        own: dict[str, Any] = {"folder": name, "sparse_rate": rate, "input_shape": size_text(after)}
        left = dataclasses.replace(whole, **own, **_found(run.after, sparse))
        new = [left] if known else [whole, left]
        _move(made, place.folder, [row.folder for row in new])
    checklist.write(place.folder, [*rows, *new])
    return tuple(new)


def _graph(side: Side) -> Graph:
    """Read a network, and hold it against what the report says of it.

    Raises:
        InputError: if it is another one.
    """
    graph = from_keras(load_keras_model(side.network))
    arrays = [array for layer in graph.params.values() for array in layer.values()]
    nonzeros = sum(int((array != 0).sum()) for array in arrays)
    if (sum(array.size for array in arrays), nonzeros) != (side.facts.params, side.facts.nonzeros):
        raise InputError(
            f"{side.network} has been changed since its report was written: it has {nonzeros:,} "
            f"weights that are not zero, the report says {side.facts.nonzeros:,}. Run it again."
        )
    return graph


def _move(made: pathlib.Path, folder: pathlib.Path, names: Sequence[str]) -> None:
    """Move folders to their place: all of them, or none.

    Raises:
        InputError: if one cannot be written.
    """
    moved: list[pathlib.Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.replace(made / name, folder / name)
            moved.append(folder / name)
    except OSError as error:
        for path in moved:
            shutil.rmtree(path)
        raise InputError(f"`zoo`: {folder} cannot be written: {error.strerror}.") from error


def _assemble(
    side: Side, graph: Graph, folder: pathlib.Path, stem: str, write_graphs: WriteGraphs
) -> Passed:
    """Let a network pass, and put its files into a folder."""
    folder.mkdir()
    passed = run_passes(graph, folder / GRAPHS, write_graphs)
    shutil.copy2(side.network, folder / f"{stem}{side.network.suffix}")
    for kind, path in side.files.items():
        shutil.copy2(path, folder / f"{stem}_{kind}{path.suffix}")
    return passed


def _is_known(place: Place, rows: Sequence[Row], original: Passed) -> bool:
    """Whether the original lies in the zoo already.

    Raises:
        InputError: if another one does.
    """
    if not (place.folder / ORIGINAL).exists():
        return False
    known = [row.weights for row in rows if row.folder == ORIGINAL]
    if known != [original.weights]:
        raise InputError(
            f"{place.folder / ORIGINAL} holds another network than the one this run began with. "
            "Give another --model."
        )
    return True


def _found(side: Side, passed: Passed) -> dict[str, Any]:
    """Give the entries of a row that are a network's own."""
    return {
        "accuracy": score(side.facts),
        "compiler_distance": passed.compiler_distance,
        "nnz": passed.cost.nonzeros,
        "sparsity": passed.cost.sparsity,
        "dense_flops": passed.cost.flops,
        "sparse_flops": passed.cost.sparse_flops,
        "torch_distance": passed.torch_distance,
        "tf_distance": passed.tf_distance,
        "quantized_accuracy": side.quantized_accuracy,
        "weights": passed.weights,
    }
