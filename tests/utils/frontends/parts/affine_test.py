"""What follows a layer channel by channel is taken into it."""

import numpy as np
import pytest

from utils.frontends.building import Operators, build
from utils.frontends.parts.dense import product
from utils.frontends.parts.pointwise import combine
from utils.frontends.source import SourceInput, SourceNetwork, SourceNode

KERNEL = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
FACTORS, SHIFTS = np.float32([2, -1, 0.5]), np.float32([1, 2, 3])
X = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
_WORDS = {"Add": "add", "Mul": "multiply", "Sub": "subtract"}


def network(*steps, outputs=("y",)):
    """A product, then an operator with a constant for each of `steps`."""
    names = ["p", *(f"s{number}" for number in range(len(steps) - 1)), "y"][: len(steps) + 1]
    nodes = [SourceNode("product", "MatMul", ("x", "w"), (names[0],))]
    constants = {"w": KERNEL}
    for number, (op, array) in enumerate(steps):
        constants[f"c{number}"] = np.asarray(array)
        reads = (names[number], f"c{number}")
        nodes.append(SourceNode(f"step{number}", op, reads, (names[number + 1],)))
    source = SourceNetwork("n", (SourceInput("x", (None, 4)),), outputs, tuple(nodes), constants)
    functions = {
        "MatMul": lambda b, n: product(b, n, b.input(n, 0), b.input(n, 1)),
        **{
            op: lambda b, n, word=word: combine(b, n, [b.input(n, 0), b.input(n, 1)], word)
            for op, word in _WORDS.items()
        },
    }
    tables = Operators(functions=functions, folds={}, spatial=frozenset(), passing=frozenset())
    return build(source, tables).model


def kinds(model):
    return [type(layer).__name__ for layer in model.operations[1:]]


def test_a_folded_batch_norm_is_the_layers_own():
    model = network(("Add", SHIFTS), ("Mul", FACTORS), ("Sub", SHIFTS))
    assert kinds(model) == ["Dense"]
    expected = (X @ KERNEL + SHIFTS) * FACTORS - SHIFTS
    np.testing.assert_allclose(model(X), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "outputs"),
    [
        ([("Add", np.float32([[1, 2, 3]]))], ("y",)),  # of another rank
        ([("Add", np.float32(2))], ("y",)),  # one for all
        ([("Add", SHIFTS)], ("p", "y")),  # somebody else reads the product
    ],
)
def test_what_is_not_by_channel_stays(steps, outputs):
    model = network(*steps, outputs=outputs)
    assert kinds(model)[0] == "Dense" and len(kinds(model)) > 1
    made = model(X)
    last = made[-1] if isinstance(made, (list, tuple)) else made
    np.testing.assert_allclose(last, X @ KERNEL + steps[0][1], atol=1e-5)
