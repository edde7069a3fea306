import keras

from nets.backbones import convnet


def test_pools_after_every_second_convolution():
    inputs = keras.Input((8, 8, 1))
    network = keras.Model(inputs, convnet.build(inputs, 10, widths=(4, 8, 12, 16)))
    sides = {layer.name: layer.output.shape[1] for layer in network.layers if "conv" in layer.name}
    assert sides == {"conv1": 8, "conv2": 8, "conv3": 4, "conv4": 4}
    assert network.get_layer("fc1").kernel.shape == (2 * 2 * 16, 16)
    assert network.output_shape == (None, 10)
