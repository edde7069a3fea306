import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.training.muon import Muon, convolution_kernels, orthogonalized


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 99), st.floats(1e-4, 1e3))
def test_singular_values_get_near_one(rows, columns, seed, size):
    matrix = size * np.random.default_rng(seed).normal(size=(rows, columns))
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    received = np.array(orthogonalized(keras.ops.convert_to_tensor(matrix, "float32")))
    # In the matrix's own directions; those a hundred times below the norm need more iterations.
    found = np.einsum("ik,ij,kj->k", left, received, right)
    large = values > 0.01 * np.linalg.norm(matrix)
    assert ((found[large] > 0.6) & (found[large] < 1.25)).all()


def test_zero_stays_zero():
    assert not np.array(orthogonalized(keras.ops.zeros((4, 6)))).any()


def variables():
    generator = np.random.default_rng(0)
    shapes = {"kernel": (3, 3, 8, 16), "colours": (3, 3, 3, 8), "fc": (16, 10), "bias": (10,)}
    return {
        name: keras.Variable(generator.normal(size=shape).astype(np.float32), name=name)
        for name, shape in shapes.items()
    }


def test_two_steps_are_those_of_the_formula():
    own = variables()
    gradients = [
        {name: np.random.default_rng(step).normal(size=v.shape) for name, v in own.items()}
        for step in (1, 2)
    ]
    optimizer = Muon(0.1, momentum=0.9, kernels=["kernel"])
    kernel, momentum = np.array(own["kernel"]).astype(np.float64), 0.0
    for step in gradients:
        momentum = 0.9 * momentum + step["kernel"]
        left, _, right = np.linalg.svd(
            (step["kernel"] + 0.9 * momentum).reshape(-1, 16), full_matrices=False
        )
        wanted = 0.1 * np.linalg.norm(kernel) / 4.0 * (left @ right).reshape(kernel.shape)
        before = kernel
        optimizer.apply(
            [keras.ops.convert_to_tensor(step[n], "float32") for n in own], list(own.values())
        )
        kernel = np.array(own["kernel"]).astype(np.float64)
        turned = before - kernel
        cosine = np.sum(turned * wanted) / np.linalg.norm(turned) / np.linalg.norm(wanted)
        assert cosine > 0.97
        assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(wanted), rel=0.2)


def test_all_else_is_trained_by_sgd():
    own, plain = variables(), variables()
    for optimizer, given_variables in (
        (Muon(0.1, momentum=0.9, kernels=["kernel"]), own),
        (keras.optimizers.SGD(0.1, momentum=0.9), plain),
    ):
        for _ in range(2):
            gradients = [keras.ops.ones(v.shape) for v in given_variables.values()]
            optimizer.apply(gradients, list(given_variables.values()))
    for name in ("colours", "fc", "bias"):
        np.testing.assert_allclose(own[name], plain[name], rtol=1e-6)
    assert not np.allclose(own["kernel"], plain["kernel"])


def test_a_description_gives_it_back():
    optimizer = Muon.from_config(Muon(0.3, momentum=0.8, kernels=["a"]).get_config())
    assert float(optimizer.learning_rate) == pytest.approx(0.3)
    assert (optimizer.momentum, optimizer.kernels) == (0.8, ("a",))


def test_which_kernels():
    """Convolutions between maps, wherever they are; no colours, no depthwise, no attention."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, name="colours")(inputs)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    inner = keras.Sequential([keras.Input((4, 4, 16)), keras.layers.Conv2D(6, 1, name="inner")])
    x = keras.layers.Reshape((16, 6))(inner(x))
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = keras.layers.Conv1D(5, 3, name="last")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="fc")(keras.layers.Flatten()(x)))
    names = {path.split("/")[-2] for path in convolution_kernels(model)}
    assert names == {"inner", "last"}
    trained = {variable.path for variable in model.trainable_variables}
    assert set(convolution_kernels(model)) <= trained
