"""A network as one `.pb` file: TensorFlow's GraphDef with its weights as constants."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from utils.errors import InputError
from utils.export.runner import Inputs, arrange

OUTPUT = "output"  # the nodes that give the outputs: output, output_1, …


def frozen_graph(model: keras.Model) -> bytes:
    """Write a network.

    Args:
        model: a built Functional model; fake quantization in it stays.

    Returns:
        The content of the file. Placeholders are named as the model's inputs, the size of the batch
        is free; outputs are the nodes `output`, `output_1` and so on, in the order of the model's.
    """
    specs = [
        tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name=tensor.name)
        for tensor in _inputs(model)
    ]

    @tf.function(autograph=False)
    def run(*inputs: Any) -> list[Any]:
        found = model(keras.tree.pack_sequence_as(model.input, list(inputs)), training=False)
        flat = keras.tree.flatten(found)
        return [tf.identity(each, name=_name(number)) for number, each in enumerate(flat)]

    concrete = run.get_concrete_function(*specs)
    frozen = convert_to_constants.convert_variables_to_constants_v2(concrete)
    # Loops leave placeholders behind that nothing reads: they would look like inputs.
    outputs = [_name(number) for number in range(len(model.outputs))]
    ends = [*outputs, *(each.name for each in specs)]
    used = tf.compat.v1.graph_util.extract_sub_graph(frozen.graph.as_graph_def(), ends)
    content: bytes = used.SerializeToString()
    return content


def _name(number: int) -> str:
    return f"{OUTPUT}_{number}" if number else OUTPUT


def _inputs(model: keras.Model) -> list[Any]:
    return list(keras.tree.flatten(model.input))


class FrozenRunner:
    """A `.pb` file as a function from float batches to float outputs.

    Args:
        content: of the file.

    Raises:
        InputError: if it is no such file.
    """

    def __init__(self, content: bytes) -> None:
        definition = tf.compat.v1.GraphDef()
        try:
            definition.ParseFromString(content)
        except Exception as error:  # the protocol buffers' own class
            raise InputError(f"the .pb file cannot be read: {error}.") from error
        wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
        names = [node.name for node in definition.node]
        inputs = [node.name for node in definition.node if node.op == "Placeholder"]
        outputs = sorted((name for name in names if _is_output(name)), key=_number)
        get = wrapped.graph.get_tensor_by_name
        sources = [get(f"{name}:0") for name in inputs]
        self._shapes = {
            name: (1, *source.shape[1:]) for name, source in zip(inputs, sources, strict=True)
        }
        self._run = wrapped.prune(sources, [get(f"{name}:0") for name in outputs])

    def __call__(self, inputs: Inputs) -> Any:
        """Run a batch: an array, or several in a list or by name."""
        arrays = arrange(inputs, self._shapes, "the .pb file")
        found = self._run(*(tf.constant(arrays[name]) for name in self._shapes))
        listed = [np.asarray(each) for each in found]
        return listed[0] if len(listed) == 1 else listed


def _is_output(name: str) -> bool:
    head, _, number = name.partition("_")
    return head == OUTPUT and (not number or number.isdigit())


def _number(name: str) -> int:
    return int(name.partition("_")[2] or 0)
