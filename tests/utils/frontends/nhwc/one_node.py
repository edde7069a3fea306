"""Networks of one node, built as the front ends build theirs, and run."""

import numpy as np

from utils.frontends.building import Operators, build
from utils.frontends.source import ConversionError, SourceInput, SourceNetwork, SourceNode


def converted(function, inputs, constants=(), num_outputs=1, batch=None, **attrs):
    """Build `function` on inputs of shapes (without batch) and constants, in that order."""
    names = [f"x{i}" for i in range(len(inputs))]
    stored = {f"c{i}": np.asarray(array) for i, array in enumerate(constants)}
    outputs = tuple(f"y{i}" for i in range(num_outputs))
    node = SourceNode("node", "op", (*names, *stored), outputs, attrs)
    given = tuple(
        SourceInput(name, (batch, *x.shape[1:]), str(x.dtype))
        for name, x in zip(names, inputs, strict=True)
    )
    network = SourceNetwork("net", given, outputs, (node,), stored, batch=batch)
    tables = Operators(
        functions={"op": function}, folds={}, spatial=frozenset(), passing=frozenset()
    )
    return build(network, tables)


def run(function, inputs, constants=(), num_outputs=1, batch=None, **attrs):
    """Build a network of one node and run it; give the outputs in the source's order of axes."""
    found = converted(function, inputs, constants, num_outputs, batch, **attrs)
    arrays = [np.transpose(x, order)
              for x, order in zip(inputs, found.input_orders.values(), strict=True)]  # fmt: skip
    made = found.model(arrays if len(arrays) > 1 else arrays[0], training=False)
    flat = made if isinstance(made, (list, tuple)) else [made]
    orders = found.output_orders.values()
    outputs = [np.transpose(np.asarray(y), np.argsort(order))
               for y, order in zip(flat, orders, strict=True)]  # fmt: skip
    return outputs if num_outputs > 1 else outputs[0]


def reason(function, inputs, constants=(), **attrs):
    """Give why a node is refused."""
    try:
        converted(function, inputs, constants, **attrs)
    except ConversionError as error:
        return error.offenders[0].reason
    raise AssertionError("it was built")


def images(*shape, seed=0):
    """Draw float32 values."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
