"""Each layer's form in ONNX, against Keras, in float; quantized networks are in `onnx_qdq_test`."""

import keras
import numpy as np
import pytest
from keras import layers

from utils.errors import InputError
from utils.graph import Ref, from_keras

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from utils.export.onnx_nodes import Writer, add_node  # noqa: E402

IMAGES = np.random.default_rng(0).normal(size=(3, 6, 7, 4)).astype(np.float32)


def in_onnx(model, images):
    """Write a network of one input in float, and run it."""
    graph = from_keras(model)
    writer = Writer(graph)
    source = graph.inputs[0].node
    names = {Ref(source): writer.to_onnx("input", Ref(source), "as_maps")}

    def weights(node, changed, axis):
        arrays = graph.params[node.layer]
        found = [writer.constant(f"{node.name}/kernel", changed(arrays["kernel"]))]
        if "bias" in arrays:
            found.append(writer.constant(f"{node.name}/bias", arrays["bias"]))
        return found

    for node in graph.nodes:
        if node.name != source:
            names[Ref(node.name)] = add_node(
                writer, node, [names[ref] for ref in node.inputs], weights
            )
    end = graph.outputs[0]
    last = writer.add("Identity", [writer.to_keras(names[end], end, "as_keras")], "output")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    content = make.make_model(
        make.make_graph(
            writer.nodes,
            "network",
            [make.make_tensor_value_info("input", kind, [None, *images.shape[1:]])],
            [make.make_tensor_value_info(last, kind, None)],
            [onnx.numpy_helper.from_array(array, name) for name, array in writer.constants.items()],
        ),
        opset_imports=[make.make_opsetid("", 21)],
        ir_version=10,
    ).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": images})[0]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: layers.Conv2D(5, 3, strides=2, padding="same", activation="relu6")(x),
        lambda x: layers.Conv2D(4, (3, 2), dilation_rate=2, groups=2, activation="silu")(x),
        lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x),
        lambda x: layers.Dense(3, activation="softmax")(x),
        lambda x: layers.Dense(3)(layers.Flatten()(x)),
        lambda x: layers.MaxPooling2D(3, 2, padding="same")(x),
        lambda x: layers.AveragePooling2D(2)(layers.ZeroPadding2D(((1, 0), (2, 1)))(x)),
        lambda x: layers.Concatenate()([x, layers.ReLU(negative_slope=0.1)(x)]),
        lambda x: layers.Add()([layers.Activation("tanh")(x), x]) * 2.0,
        lambda x: layers.GlobalAveragePooling2D(keepdims=True)(layers.ReLU(max_value=1.0)(x)),
        lambda x: layers.Reshape((7, 24))(x),
    ],
)
def test_a_layer_computes_what_keras_does(build):
    keras.utils.set_random_seed(1)
    inputs = keras.Input(IMAGES.shape[1:], name="image")
    model = keras.Model(inputs, build(inputs))
    for weight in model.weights:
        if weight.name == "bias":
            weight.assign(np.linspace(-1, 1, weight.shape[0]))
    np.testing.assert_allclose(in_onnx(model, IMAGES), model(IMAGES), rtol=1e-4, atol=1e-5)


def test_what_has_no_form_is_named():
    inputs = keras.Input(IMAGES.shape[1:], name="image")
    model = keras.Model(inputs, layers.UpSampling2D(name="larger")(inputs))
    with pytest.raises(InputError, match=r"'larger' \(UpSampling2D\) has no form in ONNX here"):
        in_onnx(model, IMAGES)
