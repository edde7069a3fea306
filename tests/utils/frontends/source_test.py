import numpy as np
import pytest

from utils.errors import InputError
from utils.frontends.source import (
    MAX_FOLDED_ELEMENTS,
    ConversionError,
    NotConvertible,
    Offender,
    SourceInput,
    SourceNetwork,
    SourceNode,
    check_size,
    ordered,
)


def network(nodes, outputs=("y",)):
    made = tuple(SourceNode(name, "op", tuple(reads), (name,)) for name, reads in nodes)
    return SourceNetwork("net", (SourceInput("x", (1,)),), outputs, made, {"w": np.zeros(1)})


def test_nodes_are_sorted_and_unneeded_ones_left_out():
    found = ordered(network([("y", "ab"), ("b", ["a", "w"]), ("a", ["x", ""]), ("z", ["x"])]))
    assert [node.name for node in found] == ["a", "b", "y"]


def test_very_deep_networks_are_sorted():
    chain = [(f"n{i}", [f"n{i - 1}" if i else "x"]) for i in range(5000)]
    assert len(ordered(network(chain, ("n4999",)))) == 5000


def test_circles_and_missing_tensors_are_refused():
    with pytest.raises(InputError, match="reads its own output"):
        ordered(network([("y", ["a"]), ("a", ["y"])]))
    with pytest.raises(InputError, match="nothing makes it"):
        ordered(network([("y", ["missing"])]))


def test_every_offender_is_named_at_once():
    error = ConversionError("net", [Offender("a", "Foo", "why"), Offender("b", "Bar", "because")])
    assert isinstance(error, InputError)
    assert "2 nodes" in str(error)
    assert "'a' (Foo): why" in str(error)
    assert "'b' (Bar): because" in str(error)
    assert "1 node cannot" in str(ConversionError("net", [Offender("a", "Foo", "why")]))


def test_sizes_of_constants_are_bounded():
    assert check_size((3, np.int64(4))) == (3, 4)
    for shape in ((MAX_FOLDED_ELEMENTS, 2), (-1,), (2**62, 2**62)):
        with pytest.raises(NotConvertible, match="too large"):
            check_size(shape)


def test_integers_of_attributes():
    node = SourceNode("n", "op", (), (), {"one": 3, "some": [1, 2]})
    assert (node.ints("one", 0), node.ints("some", 0)) == ((3,), (1, 2))
    assert (node.ints("none", 5), node.ints("none", (1, 1))) == ((5,), (1, 1))
