import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from utils.frontends.parts.resizing import KERAS, Rule, matrix, positions, tensorflow_rule
from utils.frontends.source import NotConvertible

RULES = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"]


@given(st.sampled_from(RULES), st.sampled_from(["nearest", "linear", "cubic"]),
       st.integers(1, 8), st.integers(1, 12))  # fmt: skip
def test_weights_of_an_output_sum_to_one(coordinates, mode, num_in, num_out):
    rule = Rule(mode=mode, coordinates=coordinates)
    weights = matrix(rule, num_in, num_out, num_out / num_in)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("num_in", "num_out"), [(4, 8), (5, 7), (6, 3), (7, 2)])
def test_keras_resizes_by_the_rule_that_it_is_compared_with(mode, num_in, num_out):
    weights = matrix(KERAS[mode], num_in, num_out, num_out / num_in)
    x = np.random.default_rng(0).normal(size=(1, num_in, 1, 3)).astype(np.float32)
    word = {"nearest": "nearest", "linear": "bilinear"}[mode]
    made = keras.ops.image.resize(x, (num_out, 1), interpolation=word, data_format="channels_last")
    expected = np.einsum("oi,bixc->boxc", weights, x)
    np.testing.assert_allclose(np.asarray(made), expected, atol=1e-6)


@pytest.mark.parametrize(("corners", "halves"), [(False, False), (True, False), (False, True)])
def test_the_nearest_entry_is_that_of_tensorflow(corners, halves):
    for old in (5, 7, 14, 33):
        row = np.arange(old, dtype=np.float32).reshape(1, 1, old, 1)
        for new in range(1, 41):
            wanted = tf.raw_ops.ResizeNearestNeighbor(
                images=row, size=(1, new), align_corners=corners, half_pixel_centers=halves
            )
            rule = tensorflow_rule("nearest", corners=corners, halves=halves)
            found = matrix(rule, old, new, new / old).argmax(axis=1)
            np.testing.assert_array_equal(found, np.ravel(wanted), err_msg=f"{old} to {new}")


def test_corners_stay_where_they_are():
    np.testing.assert_allclose(
        positions(Rule(mode="linear", coordinates="align_corners"), 3, 5, 5 / 3),
        [0, 0.5, 1, 1.5, 2],
    )


def test_unknown_rules_are_refused():
    for rule in (
        Rule(mode="linear", coordinates="tf_crop_and_resize"),
        Rule(mode="lanczos"),
        Rule(mode="nearest", rounding="up"),
    ):
        with pytest.raises(NotConvertible):
            matrix(rule, 2, 4, 2.0)
    with pytest.raises(NotConvertible, match="too large"):
        matrix(Rule(mode="linear"), 1 << 20, 1 << 20, 1.0)
