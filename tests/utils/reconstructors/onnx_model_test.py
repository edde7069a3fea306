import keras
import pytest

onnx = pytest.importorskip("onnx")

from utils.graph import from_keras  # noqa: E402
from utils.reconstructors.onnx_model import onnx_model  # noqa: E402


@pytest.mark.parametrize(
    ("channels_last", "shape"), [(False, ["n", 3, 8, 6]), (True, ["n", 8, 6, 3])]
)
def test_names_opset_and_order_of_maps(channels_last, shape):
    inputs = keras.Input((8, 6, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    content = onnx_model(from_keras(keras.Model(inputs, x)), channels_last=channels_last)
    model = onnx.load_model_from_string(content)
    (given,), (result,) = model.graph.input, model.graph.output
    sizes = [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim]
    assert (given.name, result.name, sizes) == ("image", "conv", shape)
    assert model.opset_import[0].version >= 18
    moved = sum(node.op_type == "Transpose" for node in model.graph.node)
    assert moved == (2 if channels_last else 0)
