"""One MXNet operator, built and run."""

import numpy as np

from utils.frontends.building import build
from utils.frontends.layout import to_built, to_source
from utils.frontends.mxnet.operators import OPERATORS
from utils.frontends.source import SourceInput, SourceNetwork, SourceNode


def run(op, x, *constants, outputs=1, **attrs):
    """Give the outputs of `op` on `x` [batch, …], in the source's order of axes."""
    arrays = {f"c{place}": np.asarray(array) for place, array in enumerate(constants)}
    ends = tuple(f"y{place}" for place in range(outputs))
    node = SourceNode("node", op, ("x", *arrays), ends, attrs)
    source = SourceInput("x", (None, *x.shape[1:]))
    made = build(SourceNetwork("net", (source,), ends, (node,), arrays), OPERATORS)
    (order,) = made.input_orders.values()
    result = made.model(to_built(x, order), training=False)
    result = result if isinstance(result, (list, tuple)) else [result]
    orders = made.output_orders.values()
    found = [to_source(np.asarray(y), order) for y, order in zip(result, orders, strict=True)]
    return found[0] if outputs == 1 else found
