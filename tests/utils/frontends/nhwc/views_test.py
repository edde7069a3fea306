"""Views with channels in front, by what a network that goes there and back computes."""

import numpy as np
import pytest

from tests.utils.frontends.nhwc.one_node import converted, images, reason, run
from utils.frontends.nhwc.views import back, first, image


@pytest.mark.parametrize("shape", [(2, 5), (2, 4, 5), (2, 4, 3, 5)])
def test_nothing_moves_there_and_back(shape):
    x = images(*shape)
    shapes = []

    def there_and_back(b, node):
        value = first(b, node, b.input(node, 0))
        shapes.append(value.shape[1:])
        return back(b, node, value)

    assert np.array_equal(run(there_and_back, [x]), x)
    inner = (shape[-1], *shape[1:-1]) if len(shape) > 2 else shape[1:]
    assert shapes == [inner]
    made = converted(there_and_back, [x]).model
    assert not [layer for layer in made.layers if "transpose" in layer.name]


def test_channels_that_are_in_front_stay():
    kept = lambda b, node: first(b, node, b.input(node, 0))  # noqa: E731
    x = images(2, 3, 4, 5)
    assert np.array_equal(run(kept, [x], channel_axis=1), x)


def test_an_image_has_four_axes():
    assert "3 axes, not an image" in reason(
        lambda b, node: image(b, node, b.input(node, 0)), [images(2, 3, 4)]
    )
