import keras

from nets.backbones import lenet


def shapes(**options):
    inputs = keras.Input((28, 28, 1))
    network = keras.Model(inputs, lenet.build(inputs, 10, **options))
    return {layer.name: layer.kernel.shape for layer in network.layers if layer.weights}


def test_layers_are_numbered_through():
    assert shapes(conv_widths=(20, 50), dense_widths=(500,)) == {
        "conv1": (5, 5, 1, 20),
        "conv2": (5, 5, 20, 50),
        "fc3": (800, 500),
        "fc4": (500, 10),
    }


def test_same_padding_keeps_the_border():
    assert shapes(conv_widths=(32, 64), dense_widths=(8,), padding="same")["fc3"] == (3136, 8)


def test_dense_layers_only():
    assert list(shapes(dense_widths=(300, 100))) == ["fc1", "fc2", "fc3"]
    assert list(shapes()) == ["fc1"]
