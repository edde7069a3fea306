import numpy as np
import pytest
from scipy import special

from tests.utils.frontends.mxnet.nodes import run
from utils.frontends.source import ConversionError

X = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
SLOPE = np.array([0.1, 0.2, 0.3], np.float32)


def elu(x, slope):
    return np.where(x > 0, x, slope * (np.exp(x) - 1))


@pytest.mark.parametrize(("made", "wanted"), [
    (lambda: run("Activation", X, act_type="softrelu"), lambda: np.log1p(np.exp(X))),
    (lambda: run("relu", X), lambda: np.maximum(X, 0)),
    (lambda: run("LeakyReLU", X, slope=0.3), lambda: np.where(X > 0, X, 0.3 * X)),
    (lambda: run("LeakyReLU", X, act_type="elu", slope=0.5), lambda: elu(X, 0.5)),
    (lambda: run("LeakyReLU", X, SLOPE, act_type="prelu"),
     lambda: np.where(X > 0, X, X * SLOPE[:, None, None])),
    (lambda: run("LeakyReLU", X, act_type="rrelu"), lambda: np.where(X > 0, X, 0.2295 * X)),
    (lambda: run("LeakyReLU", X, act_type="gelu"),
     lambda: X * (1 + special.erf(X / np.sqrt(2))) / 2),
    (lambda: run("clip", X, a_min=-0.5, a_max=0.5), lambda: np.clip(X, -0.5, 0.5)),
    (lambda: run("hard_sigmoid", X), lambda: np.clip(0.2 * X + 0.5, 0, 1)),
    (lambda: run("softmax", X, axis=1), lambda: special.softmax(X, 1)),
    (lambda: run("SoftmaxOutput", X), lambda: special.softmax(X, (1, 2, 3))),
    (lambda: run("SoftmaxActivation", X, mode="channel"), lambda: special.softmax(X, 1)),
    (lambda: run("_rminus_scalar", X, scalar=2.0), lambda: 2 - X),
    (lambda: run("_mul_scalar", X, scalar=2.0), lambda: 2 * X),
    (lambda: run("_power_scalar", X, scalar=2.0), lambda: X**2),
    (lambda: run("broadcast_add", X, SLOPE[:, None, None]), lambda: X + SLOPE[:, None, None]),
    (lambda: run("add_n", X, X[:1]), lambda: X + X[:1]),
    (lambda: run("square", X), lambda: X**2),
])  # fmt: skip
def test_functions(made, wanted):
    np.testing.assert_allclose(made(), wanted(), atol=1e-5)


def test_halves_are_rounded_away_from_zero():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    x = np.array([[-2.5, -1.5, -0.5, -below, 0, below, 0.5, 1.5, 2.5, 3.4999998, 2**23 + 1]],
                 np.float32)  # fmt: skip
    wanted = [[-3, -2, -1, 0, 0, 0, 1, 2, 3, 3, 2**23 + 1]]
    np.testing.assert_array_equal(run("round", x), wanted)


def test_unknown_variants_and_operators_are_named():
    for op, attrs in (("Activation", {"act_type": "odd"}), ("LeakyReLU", {"act_type": "odd"}),
                      ("Correlation", {})):  # fmt: skip
        with pytest.raises(ConversionError, match=rf"\({op}\)"):
            run(op, X, **attrs)
