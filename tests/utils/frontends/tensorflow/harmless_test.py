"""What a session would do besides computing is found, however it hangs on the network."""

import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.tensorflow.graphs import frozen
from utils.errors import InputError
from utils.frontends import running
from utils.frontends.tensorflow.harmless import check_graph, check_saved_model
from utils.frontends.tensorflow.reader import convert


def definition_of(function):
    spec = tf.TensorSpec((1, 4))
    return tf.function(function).get_concrete_function(spec).graph.as_graph_def()


def test_a_control_input_that_writes_a_file(tmp_path):
    written, path = tmp_path / "written", tmp_path / "net.pb"

    def network(x):
        write = tf.raw_ops.WriteFile(filename=str(written), contents="text")
        with tf.control_dependencies([write]):
            return [tf.nn.relu(x)]

    path.write_bytes(frozen(network, (1, 4)))
    assert convert(str(path)).model.output_shape == (None, 4)  # it is not part of the network
    with pytest.raises(InputError, match="also holds WriteFile"):
        running.tensorflow(str(path))({"in0": np.ones((1, 4), np.float32)})
    assert not written.exists()


def test_functions_are_looked_into():
    @tf.function
    def inner(x):
        tf.raw_ops.WriteFile(filename="no_such_folder/file", contents="text")
        return x + 1.0

    definition = definition_of(lambda x: tf.identity(inner(x), name="end"))
    with pytest.raises(InputError, match="WriteFile"):
        check_graph(definition, ["end"])


def test_what_is_not_reached_does_not_count():
    def network(x):
        tf.raw_ops.WriteFile(filename="no_such_folder/file", contents="text")
        return tf.nn.relu(x, name="end")

    definition = definition_of(network)
    check_graph(definition, ["end:0"])
    writing = next(node.name for node in definition.node if node.op == "WriteFile")
    with pytest.raises(InputError, match="WriteFile"):
        check_graph(definition, [writing])


def test_initializers_and_restoring_count():
    meta = tf.compat.v1.MetaGraphDef()
    writing = tf.compat.v1.NodeDef(name="write", op="WriteFile")
    meta.graph_def.node.append(writing)
    check_saved_model(meta, [])
    meta.saver_def.restore_op_name = "write"
    with pytest.raises(InputError, match="WriteFile"):
        check_saved_model(meta, [])
    meta.saver_def.restore_op_name = ""
    meta.signature_def["__saved_model_init_op"].outputs["op"].name = "write"
    with pytest.raises(InputError, match="WriteFile"):
        check_saved_model(meta, [])
    del meta.signature_def["__saved_model_init_op"]
    meta.collection_def["saved_model_main_op"].node_list.value.append("write")
    with pytest.raises(InputError, match="WriteFile"):
        check_saved_model(meta, [])
