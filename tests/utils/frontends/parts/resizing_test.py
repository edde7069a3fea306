import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.utils.frontends.onnx.one_graph import run_source, save
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


SCALES = (2.0, 3.0, 0.5, 1 / 3, 0.25, 0.6, 0.7, 1.7, 1.5, 0.2, 0.1)


def onnx_resizes(cases, path, opset, **attrs):
    """Resize rows of numbers in ONNX Runtime; a case is (length, scale)."""
    empty = [""] * (opset > 10)
    nodes = [helper.make_node("Resize", [f"x{i}", *empty, f"s{i}"], [f"y{i}"], mode="nearest",
                              **attrs) for i in range(len(cases))]  # fmt: skip
    constants = {f"s{i}": np.array([1, 1, scale], np.float32)
                 for i, (_, scale) in enumerate(cases)}  # fmt: skip
    inputs = [(f"x{i}", (1, 1, size), "float32") for i, (size, _) in enumerate(cases)]
    save(nodes, inputs, [f"y{i}" for i in range(len(cases))], constants, path, opset)
    feeds = {f"x{i}": np.arange(size, dtype=np.float32).reshape(1, 1, size)
             for i, (size, _) in enumerate(cases)}  # fmt: skip
    return [made.ravel() for made in run_source(str(path), feeds).values()]


@pytest.mark.parametrize(
    ("opset", "coordinates", "rounding"),
    # `half_pixel_symmetric` meets exact halves, where the order of its additions decides.
    [(10, "asymmetric", "toward_ends")]
    + [(19, coordinates, rounding) for coordinates in RULES[:4]
       for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")],
)  # fmt: skip
def test_the_nearest_entry_is_that_of_onnx_runtime(tmp_path, opset, coordinates, rounding):
    attrs = {} if opset == 10 else {
        "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}  # fmt: skip
    sizes = (5, 6, 7, 8, 9, 10, 12, 15, 30, 32, 33, 64)
    cases = [(size, scale) for size in sizes for scale in SCALES]
    cases = [(size, scale) for size, scale in cases if np.float32(size) * np.float32(scale) >= 1]
    rows = onnx_resizes(cases, tmp_path / "net.onnx", opset, **attrs)
    rule = Rule(mode="nearest", coordinates=coordinates, rounding=rounding, counting="by_scale")
    for (size, scale), row in zip(cases, rows, strict=True):
        found = matrix(rule, size, len(row), float(np.float32(scale))).argmax(axis=1)
        np.testing.assert_array_equal(found, row, err_msg=f"{size} by {scale}")


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
