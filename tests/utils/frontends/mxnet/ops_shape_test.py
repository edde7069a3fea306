import numpy as np
import pytest

from tests.utils.frontends.mxnet.nodes import run
from utils.frontends.mxnet.ops_shape import decoded
from utils.frontends.source import ConversionError, NotConvertible

X = np.random.default_rng(0).normal(size=(2, 6, 4, 5)).astype(np.float32)


def test_codes_of_a_reshape():
    assert decoded((2, 6, 4, 5), (0, -4, -1, 2, -2)) == [2, 3, 2, 4, 5]
    assert decoded((2, 6, 4, 5), (-3, -3)) == [12, 20]
    assert decoded((2, 6), (0, 0, 1)) == [2, 6, 1]
    with pytest.raises(NotConvertible, match="do not fit"):
        decoded((2,), (0, 0))


@pytest.mark.parametrize(("op", "attrs", "function"), [
    ("Flatten", {}, lambda x: x.reshape(2, -1)),
    ("Reshape", {"shape": (0, -4, 2, 3, -3)}, lambda x: x.reshape(2, 2, 3, 20)),
    ("transpose", {"axes": (0, 2, 3, 1)}, lambda x: x.transpose(0, 2, 3, 1)),
    ("SwapAxis", {"dim1": 1, "dim2": 3}, lambda x: x.swapaxes(1, 3)),
    ("expand_dims", {"axis": 2}, lambda x: x[:, :, None]),
    ("slice", {"begin": (None, 1), "end": (None, 5), "step": (None, 2)}, lambda x: x[:, 1:5:2]),
    ("slice_axis", {"axis": -1, "begin": 1, "end": None}, lambda x: x[..., 1:]),
    ("Crop", {"h_w": (2, 3), "offset": (1, 1)}, lambda x: x[:, :, 1:3, 1:4]),
    ("Crop", {"h_w": (2, 3), "center_crop": True}, lambda x: x[:, :, 1:3, 1:4]),
    ("Pad", {"pad_width": (0, 0, 0, 0, 1, 2, 0, 1), "mode": "edge"},
     lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2), (0, 1)], mode="edge")),
    ("mean", {"axis": (2, 3)}, lambda x: x.mean((2, 3))),
    ("sum", {"axis": 1, "exclude": True, "keepdims": True},
     lambda x: x.sum((0, 2, 3), keepdims=True)),
    ("max", {"axis": 1, "keepdims": True}, lambda x: x.max(1, keepdims=True)),
    ("Dropout", {"p": 0.5}, lambda x: x),
    ("BlockGrad", {}, lambda x: x),
    ("space_to_depth", {"block_size": 1}, lambda x: x),
])  # fmt: skip
def test_places(op, attrs, function):
    np.testing.assert_allclose(run(op, X, **attrs), function(X), atol=1e-4)


def test_several_outputs():
    parts = run("SliceChannel", X, num_outputs=3, axis=1, outputs=3)
    for part, wanted in zip(parts, np.split(X, 3, 1), strict=True):
        np.testing.assert_array_equal(part, wanted)
    parts = run("SliceChannel", X, num_outputs=4, axis=2, squeeze_axis=True, outputs=4)
    np.testing.assert_array_equal(parts[3], X[:, :, 3])


def test_joined():
    constant = np.ones((1, 2, 4, 5), np.float32)
    made = run("Concat", X, constant, dim=1)
    np.testing.assert_array_equal(made, np.concatenate([X, constant.repeat(2, 0)], 1))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float64", "float16"])
def test_casts(dtype):
    x = np.abs(X * 9) if dtype == "uint8" else X * 9
    wanted = x if "float" in dtype else x.astype(dtype)
    np.testing.assert_array_equal(run("Cast", x, dtype=dtype), wanted)
    with pytest.raises(ConversionError, match="casts to 'bfloat16'; float16, float32"):
        run("Cast", x, dtype="bfloat16")


def test_products():
    other = np.ones((2, 5, 3), np.float32)[:1]
    made = run("batch_dot", X[:, 0], other[0])
    np.testing.assert_allclose(made, X[:, 0] @ other[0], rtol=1e-5)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ConversionError, match="4 equal parts"):
        run("SliceChannel", X, num_outputs=4, axis=1, outputs=4)
    with pytest.raises(ConversionError, match="from the right"):
        run("Reshape", X, shape=(-1, 0), reverse=True)
