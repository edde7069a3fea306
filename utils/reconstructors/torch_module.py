"""A network as a `torch.nn.Module`: a Python file, and a file with its weights beside it."""

from __future__ import annotations

import importlib.util
import io
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.graph import Graph
from utils.reconstructors.needs import require_torch
from utils.reconstructors.ops import REFUSED, TABLE
from utils.reconstructors.rebuilding import Rebuilding
from utils.reconstructors.torch_steps import TorchTarget


def torch_module(graph: Graph, *, channels_last: bool = False) -> tuple[str, bytes]:
    """Write a network.

    Args:
        graph: the network.
        channels_last: maps at its inputs and outputs are [n, height, width, channels] as in Keras,
            else [n, channels, height, width] as in PyTorch.

    Returns:
        The source of a module class with a function `load(path)`, and the content of the file that
        this reads: a state dict, which `torch.load` reads with `weights_only=True`.

    Raises:
        InputError: if PyTorch is missing, or naming every node that has no form in it here.
    """
    require_torch()
    import torch

    target = TorchTarget()
    Rebuilding(graph, target).run(TABLE, REFUSED, last=channels_last)
    source = target.source(graph.name, graph.output_structure, last=channels_last)
    stream = io.BytesIO()
    state = {
        name: torch.from_numpy(np.array(array, order="C")) for name, array in target.state.items()
    }
    torch.save(state, stream)
    return source, stream.getvalue()


class TorchRunner:
    """The two files as a function from batches to outputs.

    Args:
        source: path of the Python file, which is run: only for files that were just written.
        weights: path of its weights.
    """

    def __init__(self, source: pathlib.Path, weights: pathlib.Path) -> None:
        name = f"flowpress_rebuilt_{source.stem}"
        spec = importlib.util.spec_from_file_location(name, source)
        if spec is None or spec.loader is None:
            raise InputError(f"{source} is no Python file.")
        module = importlib.util.module_from_spec(spec)
        written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = written
        self.network: Any = module.load(weights)

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run a batch.

        Args:
            inputs: arrays in the order of the network's inputs.

        Returns:
            Its outputs, those in dicts by sorted key.
        """
        import torch

        from utils.graph.ir import leaves

        with torch.inference_mode():
            found = self.network(*(torch.from_numpy(np.array(each)) for each in inputs))
        return [each.numpy() for each in leaves(found)]
