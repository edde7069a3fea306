import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.frontends import folded
from utils.frontends.building import Operators, build
from utils.frontends.source import (
    ConversionError,
    NotConvertible,
    SourceInput,
    SourceNetwork,
    SourceNode,
)


def conv(build, node):
    tensor, order = build.channels_last(node, build.input(node, 0))
    return build.result(
        build.layer(node, keras.layers.Conv2D, tensor, filters=2, kernel_size=1), order
    )


def reshape(build, node):
    return build.reshape(node, build.input(node, 0), node.attrs["shape"])


def refuse(build, node):
    raise NotConvertible("because")


def crash(build, node):
    raise ZeroDivisionError("a file's nonsense")


def add(build, node):
    value = build.input(node, 0)
    array = build.constant(node, 1, "addend")
    return value.replace(tensor=build.op(node, keras.ops.add, value.tensor, float(array)))


OPERATORS = Operators(
    functions={"conv": conv, "reshape": reshape, "bad": refuse, "crash": crash, "add": add},
    folds={"add": lambda node, arrays: [arrays[0] + arrays[1]]},
    spatial=frozenset({"conv"}),
    passing=frozenset({"add"}),
)


def network(*nodes, shape=(1, 3, 4, 5), outputs=None, batch=1, constants=None):
    made = tuple(
        SourceNode(f"{name}/é", op, tuple(reads.split()), (name,), attrs)
        for name, op, reads, attrs in nodes
    )
    outputs = outputs or (made[-1].outputs[0],)
    inputs = (SourceInput("x", shape), SourceInput("unused", (1,)))
    return SourceNetwork("net", inputs, outputs, made, constants or {}, batch=batch)


def test_images_are_channels_last_and_names_valid():
    made = build(network(("a", "add", "x one", {}), ("c", "conv", "a", {}),
                         constants={"one": np.float32(1)}), OPERATORS)  # fmt: skip
    assert made.model.input_shape == (None, 4, 5, 3)
    assert made.input_orders == {"x": (0, 2, 3, 1)}
    assert made.output_orders == {"c": (0, 2, 3, 1)}
    assert [operation.name for operation in made.model.operations] == ["x", "a_e", "c_e"]
    assert any("'unused'" in note for note in made.notes)


def test_other_inputs_keep_their_order():
    made = build(network(("r", "reshape", "x", {"shape": (1, 12, 5)})), OPERATORS)
    assert made.model.input_shape == (None, 3, 4, 5)
    assert made.model.output_shape == (None, 12, 5)


def test_all_offenders_are_named_those_behind_them_are_not():
    nodes = [
        ("a", "bad", "x", {}),
        ("b", "crash", "x", {}),
        ("c", "conv", "a", {}),
        ("d", "unknown", "c", {}),
        ("e", "conv", "b", {}),
    ]
    with pytest.raises(ConversionError) as caught:
        build(network(*nodes, outputs=("d", "e")), OPERATORS)
    reasons = {bad.name[0]: bad.reason for bad in caught.value.offenders}
    assert set(reasons) == {"a", "b", "d"}
    assert reasons["a"] == "because"
    assert "ZeroDivisionError" in reasons["b"]
    assert "no Keras counterpart" in reasons["d"]


def test_a_batch_that_is_mixed_with_other_axes_is_fixed_and_said():
    made = build(network(("r", "reshape", "x", {"shape": (2, 30)})), OPERATORS)
    assert made.model.input_shape == (1, 3, 4, 5)
    assert any("batch size 1" in note for note in made.notes)


def test_outputs_that_cannot_be_put_in_order_are_offenders():
    node = ("r", "reshape", "x", {"shape": (99991, 64 * 1601, -1)})
    source = network(node, shape=(None, None, None, 5), batch=None)
    with pytest.raises(ConversionError, match=r"'r' \(output\): .*--input_shape"):
        build(source, OPERATORS)


def test_an_output_that_a_node_does_not_make_names_the_node():
    node = SourceNode("a/é", "add", ("x", "one"), ("a", "mask"))
    source = SourceNetwork("net", (SourceInput("x", (1, 3)),), ("a", "mask"), (node,),
                           {"one": np.float32(1)}, batch=1)  # fmt: skip
    with pytest.raises(ConversionError, match=r"'a/é' \(add\): its output 'mask' is used"):
        build(source, OPERATORS)


def test_constants_have_an_allowance_for_the_whole_network(monkeypatch):
    monkeypatch.setattr(folded, "MIN_ALLOWANCE_BYTES", 0)
    nodes = [(f"c{i}", "add", f"c{i - 1} one" if i else "one one", {}) for i in range(9)]
    source = network(*nodes, ("y", "add", "x c8", {}), constants={"one": np.float32(1)})
    with pytest.raises(InputError, match=r"net: .* more than 32 bytes, .* 'c8/é' \(add\)"):
        build(source, OPERATORS)


def test_outputs_that_are_constants_or_inputs():
    constants = {"one": np.float32(1)}
    with pytest.raises(InputError, match="does not depend"):
        build(network(("a", "add", "one one", {}), constants=constants), OPERATORS)
    made = build(network(("a", "add", "x one", {}), constants=constants, outputs=("x", "a")),
                 OPERATORS)  # fmt: skip
    x = np.ones((1, 3, 4, 5), np.float32)
    given, more = made.model(x)
    np.testing.assert_array_equal(np.asarray(more), np.asarray(given) + 1)
