"""A network as an ONNX model in float."""

from __future__ import annotations

from typing import Any

from utils.export.onnx_nodes import Writer, model_content
from utils.graph import Graph
from utils.reconstructors.onnx_steps import OnnxTarget, tensor_type
from utils.reconstructors.ops import REFUSED, TABLE
from utils.reconstructors.rebuilding import Rebuilding

OPSET, IR_VERSION = 20, 9


def onnx_model(graph: Graph, *, channels_last: bool = False) -> bytes:
    """Write a network.

    Args:
        graph: the network.
        channels_last: maps at its inputs and outputs are [n, height, width, channels] as in Keras,
            else [n, channels, height, width].

    Returns:
        The content of the file, which the package's checker has passed. Inputs and outputs are
        named as in Keras; the size of the batch is free.

    Raises:
        InputError: if the package is missing, or naming every node that has no form in ONNX here.
    """
    from utils.export.onnx_qdq import require_packages

    require_packages()
    writer = Writer(graph)
    target = OnnxTarget(writer)
    Rebuilding(graph, target).run(TABLE, REFUSED, last=channels_last)
    return model_content(
        writer,
        graph.name,
        [_info(*each) for each in target.inputs],
        [_info(*each) for each in target.outputs],
        opset=OPSET,
        ir_version=IR_VERSION,
    )


def _info(name: str, shape: tuple[int | None, ...], dtype: str) -> Any:
    from onnx import helper

    sizes = ["n" if place == 0 and size is None else size for place, size in enumerate(shape)]
    return helper.make_tensor_value_info(name, tensor_type(dtype), sizes)
