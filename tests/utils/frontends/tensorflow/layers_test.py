"""What follows a layer channel by channel; the layers themselves are in operators_test."""

import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.tensorflow.graphs import drawn, frozen
from utils.frontends.tensorflow.reader import convert

W = drawn()
KERNEL, SCALE, SHIFT = W(3, 3, 4, 6), W(6), W(6)
STEPS = {
    "bias": lambda y: y + SHIFT,
    "factor, then bias": lambda y: y * SCALE + SHIFT,
    "bias, then factor, then less": lambda y: (y + SHIFT) * SCALE - SHIFT,
    "from a constant": lambda y: SHIFT - y,  # no factor and shift of this order: stays apart
    "another axis": lambda y: y + SHIFT[:1],
}
LAYERS = {
    "conv": lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME"),
    "depthwise": lambda x: tf.nn.depthwise_conv2d(x[..., :3], W(2, 2, 3, 2), (1, 1, 1, 1), "SAME"),
    "transposed": lambda x: tf.nn.conv2d_transpose(x, W(3, 3, 6, 4), (1, 8, 8, 6), 2, "SAME"),
    "dense": lambda x: tf.matmul(tf.reduce_mean(x, (1, 2)), W(4, 6)),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("layer", LAYERS)
def test_what_follows(layer, step, tmp_path):
    weights = drawn(3)
    seen = {}

    def fixed(*shape):
        return seen.setdefault(shape, weights(*shape))

    globals()["W"] = fixed
    function = lambda x: STEPS[step](LAYERS[layer](x))  # noqa: E731
    path = tmp_path / "net.pb"
    path.write_bytes(frozen(lambda x: [function(x)], (1, 4, 4, 4)))
    model = convert(str(path)).model
    x = drawn(5)(1, 4, 4, 4)
    np.testing.assert_allclose(model(x), function(tf.constant(x)), rtol=1e-4, atol=1e-4)
    is_whole = step not in ("from a constant", "another axis")
    left = [each for each in model.operations if type(each).__name__ in ("Add", "Subtract")]
    assert (not left) == is_whole
