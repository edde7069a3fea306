import numpy as np
import pytest

from tests.utils.frontends.parts.one_value import built, kinds, run
from utils.frontends.parts.convolution import convolution, transposed_convolution, windows_of
from utils.frontends.source import ConversionError


def settings(rank=2, **changes):
    ones = (1,) * rank
    return {"kernel": (3,) * rank, "strides": ones, "dilations": ones,
            "pads": ((0, 0),) * rank, **changes}  # fmt: skip


def by_loop(x, kernel, stride, pads):
    """Convolution of [b, c, h, w] written out."""
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    high = (x.shape[2] - kernel.shape[2]) // stride + 1
    wide = (x.shape[3] - kernel.shape[3]) // stride + 1
    made = np.zeros((len(x), len(kernel), high, wide))
    for i in range(high):
        for j in range(wide):
            part = x[:, :, i * stride : i * stride + 3, j * stride : j * stride + 3]
            made[:, :, i, j] = np.einsum("bchw,ochw->bo", part, kernel)
    return made


@pytest.mark.parametrize(("pads", "layers"), [
    (((1, 1), (1, 1)), ["ZeroPadding2D", "Conv2D"]),  # not what TensorFlow calls "same"
    (((0, 1), (0, 1)), ["Conv2D"]),  # that is
    (((0, 0), (0, 0)), ["Conv2D"]),
    (((2, 0), (0, 1)), ["ZeroPadding2D", "Conv2D"]),
])  # fmt: skip
def test_asymmetric_padding(random, pads, layers):
    x = random.normal(size=(2, 3, 6, 8)).astype(np.float32)
    kernel = random.normal(size=(4, 3, 3, 3)).astype(np.float32)

    def make(build, node, value):
        windows = windows_of(value, **settings(strides=(2, 2), pads=pads))
        return convolution(build, node, value, windows, kernel, None, 1)

    made = built(make, (None, 3, 6, 8))
    assert kinds(made)[1:] == layers
    np.testing.assert_allclose(run(made, x), by_loop(x, kernel, 2, pads), atol=1e-5)


def test_open_sizes_stay_open(random):
    kernel = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    pads = ((1, 1), (1, 1))

    def make(build, node, value):
        windows = windows_of(value, **settings(strides=(2, 2), pads=pads))
        return convolution(build, node, value, windows, kernel, None, 1)

    made = built(make, (None, 3, None, None))
    assert made.model.output_shape == (None, None, None, 4)
    x = random.normal(size=(1, 3, 9, 7)).astype(np.float32)
    np.testing.assert_allclose(run(made, x), by_loop(x, kernel, 2, pads), atol=1e-5)


def test_a_transposed_convolution_is_the_convolutions_transpose(random):
    """<conv(x), y> = <x, conv_transpose(y)>, for TensorFlow's "same" too."""
    kernel = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    x = random.normal(size=(1, 3, 8, 8))
    for pads, extra in ((((1, 1), (1, 1)), (1, 1)), (((0, 1), (0, 1)), (0, 0))):

        def make(build, node, value, pads=pads, extra=extra):
            windows = windows_of(value, **settings(strides=(2, 2), pads=pads))
            return transposed_convolution(build, node, value, windows, kernel, None, 1, extra)

        forward = by_loop(x, kernel, 2, pads)
        y = random.normal(size=forward.shape).astype(np.float32)
        back = run(built(make, (None, *y.shape[1:])), y)
        assert back.shape == x.shape
        np.testing.assert_allclose(np.vdot(forward, y), np.vdot(x, back), rtol=1e-4)


def test_kernels_that_do_not_fit_are_refused():
    def make(build, node, value):
        windows = windows_of(value, **settings())
        return convolution(build, node, value, windows, np.zeros((4, 2, 3, 3)), None, 1)

    with pytest.raises(ConversionError, match="does not fit 3 channels"):
        built(make, (None, 3, 8, 8))
    with pytest.raises(ConversionError, match="one to three spatial axes"):
        built(lambda build, node, value: windows_of(value, **settings()), (None, 3))
