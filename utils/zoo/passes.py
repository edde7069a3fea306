"""What a network must pass before it is published; every step is really done."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from utils.errors import InputError
from utils.folders import passing_folder
from utils.graph import Complexity, Graph, complexity, to_keras
from utils.graph.fold import fold
from utils.reconstructors import targets

RECONSTRUCT, FUSED = "IR_for_reconstruct", "IR_fused_for_CModel"
MAX_COMPILED = 1e-4
"""Largest distance of a graph, written and read again, to the network."""

Check = Callable[[Mapping[str, Graph]], None]
WriteGraphs = Callable[[Mapping[str, Graph], pathlib.Path, Check], None]
"""Writes graphs by name into a folder, and lets a function check what is read back."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Passed:
    """What the steps found.

    Attributes:
        compiler_distance: of the graphs, written and read again, to the network.
        torch_distance: of the network rebuilt in PyTorch.
        tf_distance: of the frozen graph.
        cost: parameters and multiply-adds.
        weights: digest of the weights.
    """

    compiler_distance: float
    torch_distance: float
    tf_distance: float
    cost: Complexity
    weights: str


def run_passes(graph: Graph, folder: pathlib.Path, write_graphs: WriteGraphs) -> Passed:
    """Compile a network, rebuild it in PyTorch and TensorFlow, and count.

    Args:
        graph: the network.
        folder: where its graphs are written.
        write_graphs: writes graphs by name into a folder, and checks what is read back.

    Raises:
        InputError: if a step fails, with the reason.
    """
    inputs = targets.random_inputs(graph)
    expected = targets.keras_run(to_keras(graph))(inputs)
    distances = [0.0]

    def check(graphs: Mapping[str, Graph]) -> None:
        for again in graphs.values():
            found = targets.keras_run(to_keras(again))(inputs)
            distances.append(targets.distance(found, expected))
        if not max(distances) <= MAX_COMPILED:
            raise InputError(
                f"{graph.name!r} does not pass the compiler: its graph is {max(distances):.3g} "
                f"away from the network, at most {MAX_COMPILED:g} is accepted."
            )

    write_graphs({RECONSTRUCT: graph, FUSED: fold(graph)}, folder, check)
    with passing_folder() as made:
        torch, frozen = (
            targets.rebuild(graph, kind, pathlib.Path(made) / name, inputs=inputs)
            for kind, name in (("torch", "net.py"), ("pb", "net.pb"))
        )
    return Passed(
        compiler_distance=max(distances),
        torch_distance=torch.distance,
        tf_distance=frozen.distance,
        cost=complexity(graph),
        weights=digest(graph),
    )


def digest(graph: Graph) -> str:
    """Give 16 hexadecimal digits that tell networks of other weights apart.

    Args:
        graph: the network.
    """
    found = hashlib.sha256()
    for layer, arrays in graph.params.items():
        for name, array in arrays.items():
            found.update(f"{layer}/{name}/{array.shape}/{array.dtype}\0".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
