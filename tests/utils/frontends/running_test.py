"""Source frameworks as functions; those of TensorFlow and LiteRT run in their readers' tests."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.frontends import FRONTENDS, running


def test_every_framework_that_is_run_is_read():
    assert set(running.RUNS) <= set(FRONTENDS)


def test_a_keras_file(tmp_path):
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(2, name="fc")(inputs))
    model.save(tmp_path / "net.keras")
    x = np.ones((2, 4), np.float32)
    run = running.source_run("keras", str(tmp_path / "net.keras"))
    np.testing.assert_array_equal(run({"x": x})["fc"], model(x))


def test_an_onnx_file(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    node = onnx.helper.make_node("Neg", ["x"], ["y"])
    value = lambda name: onnx.helper.make_tensor_value_info(name, 1, [None, 2])  # noqa: E731
    graph = onnx.helper.make_graph([node], "g", [value("x")], [value("y")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, tmp_path / "net.onnx")
    run = running.source_run("onnx", str(tmp_path / "net.onnx"))
    x = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(run({"x": x})["y"], -x)


def test_float32_keeps_its_bits_only_while_networks_are_compared():
    reduced = tf.config.experimental.tensor_float_32_execution_enabled
    before = reduced()
    with pytest.raises(KeyError), running.whole_float32():
        assert not reduced()
        raise KeyError
    assert reduced() == before


def test_a_framework_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(running.RUNS, "keras", (running.keras, "no_such_package"))
    assert running.source_run("keras", "net.keras") is None
    assert running.source_run("mxnet", "net-symbol.json") is None
