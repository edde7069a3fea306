"""What the gathers of `--cpr_residual=gather` cost: counted, and timed in a file of their own."""

import keras
import numpy as np

from utils.export.runner import timed_call
from utils.export.tflite import convert
from utils.graph import Graph, Node, ops
from utils.latency import measure


def gathers(graph: Graph, before: Graph) -> list[Node]:
    """List the channel gathers that a cut added to a network."""
    known = {node.name for node in before.nodes}
    added = (node for node in graph.nodes if node.name not in known)
    rows = ((node, ops.find(graph, node)) for node in added)
    return [node for node, row in rows if row is not None and row.picks]


def gather_note(graph: Graph, before: Graph) -> str | None:
    """Say how many gathers a cut added and how long they take together.

    Args:
        graph: the network after the cut.
        before: the one before.

    Returns:
        A sentence for the report; None where there are none.
    """
    added = gathers(graph, before)
    if not added:
        return None
    inputs, outputs = [], []
    for node in added:
        source, taken = graph.shape(node.inputs[0]), int(node.output_shapes[0][-1] or 0)
        tensor = keras.Input(source[1:])
        inputs.append(tensor)
        outputs.append(keras.ops.take(tensor, np.arange(taken), axis=-1))
    call = timed_call(convert(keras.Model(inputs, outputs), "float32"))
    time = measure({"gathers": call}, repeats=100, warmup=20)["gathers"].p50
    return (
        f"{len(added)} gathers stand in front of layers that chose channels of a residual stream "
        f"for themselves; alone in a float32 .tflite they take {time:.3f} ms."
    )
