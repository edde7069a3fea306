import numpy as np
import pytest

from utils.graph.ir import Graph, Node, Ref, leaves, map_leaves, rename_inputs, unique_name

INPUT = Node("x", "x", "keras.layers.InputLayer", {}, output_shapes=((None, 4),))


def relu(name, *sources, **fields):
    return Node(name, name, "keras.layers.ReLU", {}, sources, output_shapes=((None, 4),), **fields)


Y = Ref("y")


def graph(*nodes, outputs=Y):
    return Graph("g", (INPUT, *nodes), {}, Ref("x"), outputs)


def test_lookups():
    found = graph(
        relu("y", Ref("x")), relu("z", [Ref("x"), Ref("y")]), outputs=[Ref("z"), Ref("y")]
    )
    assert [node.name for node in found.consumers("x")] == ["y", "z"]
    assert found.node("z").inputs == (Ref("x"), Ref("y"))
    assert found.outputs == (Ref("z"), Ref("y")) and found.inputs == (Ref("x"),)
    assert found.shape(Ref("y")) == (None, 4)
    assert [node.name for node in found.calls("y")] == ["y"] and found.calls("none") == ()
    with pytest.raises(KeyError, match=r"no node is named 'q' in 'g'"):
        found.node("q")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [relu("y", Ref("y"))],
            r"node 'y' reads 'y', which no earlier node is named: the graph is",
        ),
        ([relu("y", Ref("q"))], r"reads 'q', .*cyclic, out of order, or has a dangling reference"),
        ([relu("y", Ref("x", 1))], r"node 'y' reads output 1 of 'x', which has 1"),
        ([relu("y", Ref("x")), relu("y", Ref("x"))], r"two nodes are named 'y'"),
        ([], r"the model reads 'y', which no earlier node"),
    ],
)
def test_refuses_broken_graphs(nodes, message):
    with pytest.raises(ValueError, match=message):
        graph(*nodes)


def test_structures():
    assert list(leaves({"b": (1, [2]), "a": 3})) == [3, 1, 2]
    assert map_leaves(str, {"b": (1, [2])}) == {"b": ("1", ["2"])}
    assert unique_name("a", ["a", "a_1"]) == "a_2"


def test_rename_inputs_shares_what_does_not_change():
    node = relu("y", Ref("x"), kwargs={"mask": (Ref("x"), np.zeros(1))})
    renamed = rename_inputs(node, {Ref("x"): Ref("z")})
    assert renamed.inputs == (Ref("z"), Ref("z")) and node.inputs == (Ref("x"), Ref("x"))
    assert rename_inputs(node, {Ref("q"): Ref("z")}) is node
