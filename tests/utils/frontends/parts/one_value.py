"""One function of the parts on one value, built and run."""

import numpy as np

from utils.frontends.building import Operators, build
from utils.frontends.layout import to_built, to_source
from utils.frontends.source import SourceInput, SourceNetwork, SourceNode


def built(function, *shapes, is_image=True, outputs=1, batch=None):
    """Build `function(building, node, values…)` on inputs of the given shapes."""
    names = tuple(f"x{i}" for i in range(len(shapes)))
    ends = tuple(f"y{i}" for i in range(outputs))

    def call(building, node):
        return function(building, node, *(building.input(node, i) for i in range(len(shapes))))

    network = SourceNetwork(
        "net",
        tuple(SourceInput(name, shape) for name, shape in zip(names, shapes, strict=True)),
        ends,
        (SourceNode("node", "op", names, ends),),
        {},
        batch=batch,
    )
    spatial = frozenset({"op"} if is_image else ())
    return build(network, Operators(functions={"op": call}, folds={}, spatial=spatial,
                                    passing=frozenset()))  # fmt: skip


def run(converted, *arrays):
    """Run on arrays in the source's order of axes; give outputs likewise."""
    orders = converted.input_orders.values()
    fed = [to_built(array, order) for array, order in zip(arrays, orders, strict=True)]
    made = converted.model(fed if len(fed) > 1 else fed[0], training=False)
    made = made if isinstance(made, (list, tuple)) else [made]
    orders = converted.output_orders.values()
    found = [to_source(np.asarray(y), order) for y, order in zip(made, orders, strict=True)]
    return found[0] if len(found) == 1 else found


def kinds(converted):
    return [operation.__class__.__name__ for operation in converted.model.operations]
