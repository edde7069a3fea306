"""Reading GraphDefs that may come from anywhere, functions written out."""

import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.damage import damaged, outcomes
from tests.utils.frontends.tensorflow.graphs import drawn, frozen
from utils.errors import InputError
from utils.frontends.tensorflow import graph
from utils.frontends.tensorflow.graph import Allowance, flattened, parse_graph

WEIGHTS = drawn()(4, 3)
CONTENT = frozen(lambda x: tf.split(tf.nn.relu(tf.matmul(x, WEIGHTS)), [1, 2], 1), (None, 4))


def flat(definition, *outputs, allowance=1 << 20):
    return flattened(definition, outputs, Allowance(allowance))


def test_a_frozen_graph():
    nodes, constants, outputs = flat(parse_graph(CONTENT), ("output_1", 0))
    assert [node.op for node in nodes.values()] == [
        "Placeholder", "MatMul", "Relu", "SplitV", "Identity"]  # fmt: skip
    assert outputs == [("output_1", 0)]
    split = next(node for node in nodes.values() if node.op == "SplitV")
    assert split.num_outputs == 2 and nodes["output_1"].inputs == ((split.name, 1),)
    assert any(np.array_equal(array, WEIGHTS) for array in constants.values())
    placeholder = nodes["in0"].attrs
    assert placeholder["shape"] == (-1, 4) and placeholder["dtype"] == "float32"
    # Files leave attributes out that are at their defaults.
    assert next(node for node in nodes.values() if node.op == "MatMul").attrs["adj_x" if (
        "adj_x" in nodes) else "transpose_a"] is False  # fmt: skip


def test_functions_are_written_out():
    inner = tf.function(lambda x: tf.unstack(x * 2.0, axis=1))
    outer = tf.function(lambda x: inner(x)[1] + inner(x)[0])
    definition = outer.get_concrete_function(tf.TensorSpec((2, 2))).graph.as_graph_def()
    last = next(node.name for node in definition.node if node.op == "AddV2")
    nodes, _, outputs = flat(definition, (last, 0))
    kinds = [node.op for node in nodes.values()]
    assert [kinds.count(op) for op in ("Mul", "Unpack", "AddV2", "Placeholder")] == [2, 2, 1, 1]
    assert not [op for op in kinds if "Call" in op]

    def behind(source):
        while nodes[source[0]].op == "Identity":  # what a function returns
            source = nodes[source[0]].inputs[0]
        return source

    first, second = map(behind, nodes[outputs[0][0]].inputs)
    assert (first[1], second[1]) == (1, 0) and first[0] != second[0]


def test_a_function_that_calls_itself_is_refused():
    from tensorflow.core.framework import graph_pb2

    definition = graph_pb2.GraphDef()
    function = definition.library.function.add()
    function.signature.name = "again"
    function.signature.output_arg.add().name = "y"
    node = function.node_def.add(name="call", op="PartitionedCall")
    node.attr["f"].func.name = "again"
    function.ret["y"] = "call:output:0"
    main = definition.node.add(name="main", op="PartitionedCall")
    main.attr["f"].func.name = "again"
    with pytest.raises(InputError, match="calls 'again', which is not there or too deep"):
        flat(definition, ("main", 0))


def test_doubling_functions_do_not_explode(monkeypatch):
    monkeypatch.setattr(graph, "_MAX_NODES", 2_000)
    from tensorflow.core.framework import graph_pb2

    definition = graph_pb2.GraphDef()
    for level in range(40):
        function = definition.library.function.add()
        function.signature.name = f"f{level}"
        function.signature.input_arg.add().name = "x"
        function.signature.output_arg.add().name = "y"
        for half in "ab":
            node = function.node_def.add(name=half, op=f"f{level + 1}" if level < 39 else "Abs")
            node.input.append("x" if half == "a" else "a:y:0")
        function.ret["y"] = "b:y:0"
    definition.node.add(name="x", op="Placeholder")
    definition.node.add(name="main", op="f0", input=["x"])
    with pytest.raises(InputError, match="more than 2,000 nodes"):
        flat(definition, ("main", 0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.node[0].input.append("lost"), "reads 'lost', which the graph does not have"),
        (lambda d: d.node[0].input.append(d.node[-1].name), "is cyclic"),
        (lambda d: d.node[0].input.append("in0:3"), "reads output 3 of 'in0'"),
        (lambda d: d.node[0].input.append("in0:x"), "which names no output"),
    ],
)
def test_contradictions(change, words):
    definition = parse_graph(CONTENT)
    last = definition.node[-1]
    definition.node.insert(0, definition.node.add())
    definition.node[0].name, definition.node[0].op = "first", "Identity"
    last.name, last.op = "last", "Identity"
    last.ClearField("input")
    last.input.append("first")
    del definition.node[-1]
    change(definition)
    with pytest.raises(InputError, match=words):
        flat(definition, ("first", 0))


def test_constants_that_are_too_large_are_refused_before_they_are_made():
    definition = parse_graph(CONTENT)
    proto = next(node for node in definition.node if node.op == "Const").attr["value"].tensor
    proto.ClearField("tensor_content")
    proto.ClearField("tensor_shape")
    for _ in range(2):
        proto.tensor_shape.dim.add().size = 1 << 20
    proto.float_val.append(1.0)  # stands for all of them
    with pytest.raises(InputError, match="too large for its file"):
        flat(definition, ("output", 0))


def test_damaged_files_are_refused_or_read():
    def read(content):
        definition = parse_graph(content)
        flat(definition, (definition.node[-1].name, 0))

    found = outcomes(damaged(CONTENT, 300), read)
    assert found.total() == 300 and min(found["read"], found["refused"]) > 10


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"{}"])
def test_other_files(content):
    with pytest.raises(InputError, match=r"is not a GraphDef|holds no graph"):
        parse_graph(content)
