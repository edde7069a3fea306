import keras
import numpy as np
import pytest

from nets.backbones import vgg_cifar


@pytest.mark.parametrize(("size", "num_convs"), [(11, 8), (13, 10), (16, 13), (19, 16)])
def test_depths(size, num_convs):
    inputs = keras.Input((32, 32, 3))
    network = keras.Model(inputs, vgg_cifar.build(inputs, 10, size=size))
    convs = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convs) == num_convs
    assert convs[-1].name == f"stage5_conv{vgg_cifar.CONVS_PER_STAGE[size][-1]}"
    if size == 16:
        parameters = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
        assert round(parameters / 1e6, 2) == 14.99  # published: 14.98 million, one batch norm less


def test_unknown_size():
    with pytest.raises(ValueError, match=r"`size` must be one of \[11, 13, 16, 19\]. Received: 7."):
        vgg_cifar.build(keras.Input((32, 32, 3)), 10, size=7)
