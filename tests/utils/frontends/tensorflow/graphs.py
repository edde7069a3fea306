"""Frozen graphs of functions, without training or files."""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants


def frozen(function, *shapes):
    """Write a function of float32 tensors as a frozen graph.

    Args:
        function: gives a list of tensors.
        shapes: of its arguments, which are called in0, in1, …

    Returns:
        The content of the file; outputs are output, output_1, …
    """

    @tf.function(autograph=False)
    def run(*inputs):
        made = function(*inputs)
        return [tf.identity(y, name=f"output_{i}" if i else "output") for i, y in enumerate(made)]

    specs = [tf.TensorSpec(shape, tf.float32, name=f"in{i}") for i, shape in enumerate(shapes)]
    made = convert_to_constants.convert_variables_to_constants_v2(run.get_concrete_function(*specs))
    return made.graph.as_graph_def().SerializeToString()


def drawn(seed=0):
    """Give a function that draws float32 weights of a shape."""
    draw = np.random.default_rng(seed)
    return lambda *shape: draw.normal(size=shape).astype(np.float32)
