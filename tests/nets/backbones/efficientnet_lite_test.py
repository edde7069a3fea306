import keras
import numpy as np

from nets.backbones import efficientnet_lite


def test_the_parameters_are_those_of_the_published_network():
    inputs = keras.Input(efficientnet_lite.INPUT_SHAPE)
    model = keras.Model(inputs, efficientnet_lite.build(inputs))
    assert model.output_shape == (None, 1000)
    assert sum(np.prod(each.shape) for each in model.trainable_variables) == 4_652_008
    blocks = [layer for layer in model.layers if layer.name.endswith("_depthwise")]
    assert len(blocks) == 16
    assert {layer.kernel_size for layer in blocks} == {(3, 3), (5, 5)}
    # Lite: no squeeze-and-excite, and ReLU6 instead of swish.
    assert not [layer for layer in model.layers if isinstance(layer, keras.layers.Multiply)]
