import keras
import numpy as np
import pytest

from nets.backbones import mobilenet_cifar


def model(version, depth_mult=1.0):
    inputs = keras.Input((32, 32, 3))
    outputs = mobilenet_cifar.build(inputs, 10, version=version, depth_mult=depth_mult)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("version", "parameters"), [(1, 3_217_226), (2, 2_236_682), (3, 1_528_106)]
)
def test_parameters_are_the_originals_with_10_classes(version, parameters):
    weights = model(version).trainable_weights
    assert sum(int(np.prod(weight.shape)) for weight in weights) == parameters


@pytest.mark.parametrize(("version", "side"), [(1, 2), (2, 4), (3, 4)])
def test_small_images_are_not_shrunk_away(version, side):
    assert model(version, 0.25).get_layer("pool").input.shape[1:3] == (side, side)


def test_widths_are_multiples_of_8():
    network = model(3, 0.35)
    widths = {layer.filters for layer in network.layers if type(layer) is keras.layers.Conv2D}
    assert all(width % 8 == 0 for width in widths)


@pytest.mark.parametrize(
    ("width", "depth_mult", "expected"),
    [(32, 1.0, 32), (32, 0.25, 8), (24, 0.25, 8), (64, 0.35, 24), (36, 1.0, 40), (3, 1.0, 8)],
)
def test_scaled(width, depth_mult, expected):
    assert mobilenet_cifar.scaled(width, depth_mult) == expected


def test_squeeze_excite_weights_channels():
    network = model(3, 0.5)
    scale = network.get_layer("block0_se_scale")
    assert [tensor.shape[1:3] for tensor in scale.input] == [(32, 32), (1, 1)]


def test_unknown_version():
    with pytest.raises(ValueError, match=r"`version` must be one of \(1, 2, 3\). Received: 4."):
        model(4)


def test_depthwise_kernels_start_at_the_scale_of_their_9_inputs():
    kernels = [np.array(layer.kernel) for layer in model(1).layers if "dw_conv" in layer.name]
    deviation = np.std(np.concatenate([kernel.ravel() for kernel in kernels]))
    assert deviation == pytest.approx(np.sqrt(2 / 9), rel=0.05)
