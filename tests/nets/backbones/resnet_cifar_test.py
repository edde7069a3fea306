import keras
import numpy as np
import pytest

from nets.backbones import resnet_cifar


def model(**options):
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, resnet_cifar.build(inputs, 10, **options))


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.parametrize(("size", "parameters"), [(20, 269_722), (56, 853_018), (110, 1_727_962)])
def test_parameters_are_the_published_ones(size, parameters):
    assert trainable(model(size=size)) == parameters


def test_names_say_where_a_layer_is():
    names = {layer.name for layer in model().layers}
    assert {"stem_conv", "stage1_block0_conv1", "stage3_block2_bn2", "fc"} <= names
    assert "stage2_block0_shortcut_conv" not in names


def test_padding_shortcut_is_every_second_pixel_between_zero_channels():
    network = model()
    for layer in network.layers:
        if layer.name.startswith("stage2_block0_bn2"):
            layer.gamma.assign(np.zeros(32))  # leaves the shortcut alone
    parts = keras.Model(
        network.inputs,
        [network.get_layer(name).output for name in ("stage1_block2_relu2", "stage2_block0_relu2")],
    )
    before, after = parts([np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)])
    expected = np.zeros((2, 16, 16, 32), np.float32)
    expected[..., 8:24] = before[:, ::2, ::2]
    assert np.array_equal(after, expected)


def test_refusals():
    with pytest.raises(ValueError, match=r"`size` must be one of \[20, 32, .* Received: 21."):
        model(size=21)
    with pytest.raises(ValueError, match=r"`shortcut` must be one of .* Received: 'conv'."):
        model(shortcut="conv")
