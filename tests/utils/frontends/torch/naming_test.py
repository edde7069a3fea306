import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from utils.frontends.onnx.reader import read_network
from utils.frontends.torch.naming import with_module_names


def node(op, inputs, output, scopes):
    made = helper.make_node(op, inputs, [output], name=f"node_{output}")
    if scopes is not None:
        made.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    return made


def test_the_node_with_weights_gets_the_modules_name(tmp_path):
    nodes = [
        node("Transpose", ["w"], "t", "['', 'layer1', 'layer1.fc', 't']"),
        node("MatMul", ["x", "t"], "m", "['', 'layer1', 'layer1.fc', 'm']"),
        node("Add", ["m", "b"], "a", "['', 'layer1', 'layer1.fc', 'a']"),
        node("Relu", ["a"], "r", "['', 'r']"),
        node("Exp", ["r"], "e", "no list"),
        node("Abs", ["e"], "y", None),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [tensor("x", TensorProto.FLOAT, [1, 3])],
        [tensor("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.ones((4, 3), np.float32), "w"),
         numpy_helper.from_array(np.ones(4, np.float32), "b")],
    )  # fmt: skip
    path = str(tmp_path / "net.onnx")
    save(helper.make_model(graph), path)
    names = [item.name for item in with_module_names(read_network(path), path).nodes]
    assert names == [
        "layer1.fc.node_t", "layer1.fc", "layer1.fc.node_a", "node_r", "node_e", "node_y",
    ]  # fmt: skip
