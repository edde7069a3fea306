import numpy as np
import pytest

from tests.utils.frontends.parts.one_value import built, kinds, run
from utils.frontends.parts.dense import dense, einsum, product, rows_in_order
from utils.frontends.source import ConversionError
from utils.frontends.values import Value


def test_rows_follow_the_tensors_order(random):
    """A Flatten of [b, c, h, w] in front of a fully connected layer moves nothing."""
    kernel, bias = random.normal(size=(60, 7)), random.normal(size=7)
    kernel, bias = kernel.astype(np.float32), bias.astype(np.float32)

    def make(build, node, value):
        flat = build.reshape(node, value, (value.shape[0], 60))
        return dense(build, node, flat, kernel, bias)

    made = built(make, (None, 3, 4, 5))
    x = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert kinds(made) == ["InputLayer", "Flatten", "Dense"]
    np.testing.assert_allclose(run(made, x), x.reshape(2, -1) @ kernel + bias, atol=1e-4)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_any_axis_can_be_read(random, axis):
    x = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    kernel = random.normal(size=(x.shape[axis], 6)).astype(np.float32)
    made = built(lambda b, n, v: dense(b, n, v, kernel, None, axis=axis), (None, 3, 4, 5))
    expected = np.moveaxis(np.moveaxis(x, axis, -1) @ kernel, -1, axis)
    np.testing.assert_allclose(run(made, x), expected, atol=1e-5)


def test_products_of_two_tensors_broadcast(random):
    one = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    other = random.normal(size=(2, 5, 6)).astype(np.float32)
    made = built(
        lambda b, n, x, y: product(b, n, x, b.reshape(n, y, (y.shape[0], 1, 5, 6))),
        (None, 3, 4, 5), (None, 5, 6), is_image=False,
    )  # fmt: skip
    np.testing.assert_allclose(run(made, one, other), one @ other[:, None], atol=1e-5)


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ConversionError, match=r"\(9, 2\) do not fit an axis of 4"):
        built(lambda b, n, v: dense(b, n, v, np.zeros((9, 2)), None), (None, 4), is_image=False)
    with pytest.raises(ConversionError, match="vector"):
        built(lambda b, n, v: product(b, n, v, Value(array=np.zeros(4))), (None, 4), is_image=False)


def test_rows_of_one_atom_stay():
    kernel = np.zeros((4, 2))
    assert rows_in_order(kernel, (), ()) is kernel


def test_sums_of_products(random):
    one = random.normal(size=(2, 3, 4)).astype(np.float32)
    other = random.normal(size=(2, 4, 5)).astype(np.float32)
    made = built(lambda b, n, *_: einsum(b, n, "bij, bjk -> kb"), (None, 3, 4), (None, 4, 5),
                 is_image=False, batch=2)  # fmt: skip
    expected = np.einsum("bij,bjk->kb", one, other)
    np.testing.assert_allclose(run(made, one, other), expected, atol=1e-5)


@pytest.mark.parametrize("equation", ["bij,bjk", "...ij,...jk->...ik"])
def test_axes_without_names_are_refused(equation):
    with pytest.raises(ConversionError, match="leaves axes unnamed"):
        built(lambda b, n, *_: einsum(b, n, equation), (2, 3, 4), (2, 4, 5), is_image=False)
