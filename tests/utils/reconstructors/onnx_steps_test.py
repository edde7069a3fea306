import numpy as np
import pytest

pytest.importorskip("onnx")

from utils.export.onnx_nodes import Writer
from utils.reconstructors.onnx_steps import BINARY, OnnxTarget, tensor_type
from utils.reconstructors.ops_pointwise import BINARY as NAMES
from utils.reconstructors.rebuilding import RefusedError


def test_every_combination_has_an_operator():
    assert {*BINARY, "not_equal"} == {*NAMES}


def test_equal_arrays_of_a_shared_layer_are_held_once():
    writer = Writer(None)
    target = OnnxTarget(writer)
    for call in ("dense", "dense#1"):
        target.begin("dense", call)
        target.linear(target.input(call, (None, 2), "float32"), np.ones((3, 2)), None)
    assert list(writer.constants) == ["dense/kernel"]
    assert len({node.name for node in writer.nodes}) == 2
    target.constant("kernel", np.zeros((2, 3)))
    assert list(writer.constants) == ["dense/kernel", "dense/kernel_1"]


def test_types():
    import onnx

    assert tensor_type("bool") == onnx.TensorProto.BOOL
    with pytest.raises(RefusedError, match="computes in string"):
        tensor_type("string")
