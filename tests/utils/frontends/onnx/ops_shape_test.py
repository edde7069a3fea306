import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.utils.frontends.onnx.one_graph import assert_agrees, case, compare, kinds, save
from utils.frontends.source import ConversionError

RANDOM = np.random.default_rng(0)
IMAGE = (1, 6, 4, 8)


def ints(*values):
    return np.array(values, np.int64)


def weights(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def test_shapes_and_places():
    assert_agrees(
        [
            case("Reshape", IMAGE, ints(0, -1)),
            case("Reshape", IMAGE, ints(0, 3, 2, 32)),
            case("Reshape", IMAGE, ints(-1, 4, 48)),  # across the axes
            case("Flatten", IMAGE),
            case("Flatten", (1, 3, 4), axis=2),
            case("Transpose", IMAGE, perm=[0, 2, 3, 1]),
            case("Transpose", (1, 3, 4), perm=[1, 0, 2]),
            case("Squeeze", (1, 1, 4, 1), ints(1, 3)),
            case("Unsqueeze", (1, 3), ints(1, 3)),
            case("Slice", IMAGE, ints(1, 0), ints(5, -1), ints(1, 3), ints(2, 1)),
            case("Slice", IMAGE, ints(-1), ints(-100), ints(2), ints(-1)),
            case("Gather", IMAGE, ints(0, 2, 4), axis=1),
            case("Gather", IMAGE, ints(3, 0, 5), axis=1),
            case("Gather", IMAGE, np.int64(-1), axis=3),
            case("Gather", (1, 5), ints(1, 0, 2, 3).reshape(2, 2), axis=1),
            case("Concat", IMAGE, IMAGE, axis=1),
            case("Concat", IMAGE, IMAGE, axis=-1),
            case("Split", IMAGE, ints(1, 5), axis=1, outputs=2),
            case("Tile", IMAGE, ints(1, 2, 1, 1)),
            case("Expand", (1, 6, 1, 1), ints(1, 6, 4, 8)),
            case("DepthToSpace", (1, 8, 3, 4), blocksize=2, mode="CRD"),
            case("DepthToSpace", (1, 8, 3, 4), blocksize=2),
            case("SpaceToDepth", IMAGE, blocksize=2),
            case("Identity", IMAGE),
            case("Dropout", IMAGE),
            case("TopK", (1, 9), ints(3), outputs=2),
            case("ArgMax", IMAGE, axis=1, keepdims=0),
        ]
    )


def test_padding_and_reductions():
    around = ints(0, 0, 1, 2, 0, 0, 0, 1)
    assert_agrees(
        [
            case("Pad", IMAGE, around),
            case("Pad", IMAGE, around, np.float32(1.5)),
            case("Pad", IMAGE, around, mode="reflect"),
            case("Pad", IMAGE, around, mode="edge"),
            case("Pad", IMAGE, ints(0, 1, 0, 0, 0, 2, 0, 0)),
            case("Pad", IMAGE, ints(0, 0, -1, 0, 0, 0, 0, -2)),
            case("ReduceMean", IMAGE, ints(2, 3)),
            case("ReduceMean", IMAGE, ints(1), keepdims=0),
            case("ReduceSum", IMAGE, ints(-1), keepdims=0),
            case("ReduceMax", IMAGE, ints(1, 2)),
            case("ReduceMin", IMAGE, ints(3), keepdims=0),
            case("ReduceL2", IMAGE, ints(1)),
            case("ReduceL1", IMAGE, ints(1)),
            case("ReduceSumSquare", IMAGE, ints(2), keepdims=0),
            case("ReduceLogSumExp", IMAGE, ints(1)),
        ]
    )


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resizing_with_every_rule_of_coordinates(mode):
    factors = np.array([1, 1, 2, 3], np.float32)
    rules = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    rounding = ["round_prefer_floor", "floor", "ceil", "round_prefer_ceil"]
    cases = [
        case("Resize", IMAGE, None, factors, mode=mode, coordinate_transformation_mode=rule)
        for rule in rules
    ]
    cases += [
        case("Resize", IMAGE, None, None, ints(2, 6, 7, 5), mode=mode),
        case("Resize", (1, 2, 6), None, np.array([1, 1, 1.5], np.float32), mode=mode),
    ]
    if mode == "nearest":
        cases += [
            case("Resize", IMAGE, None, factors, mode=mode, nearest_mode=word) for word in rounding
        ]
    if mode != "nearest":  # ONNX Runtime takes no cubic resizing of one axis
        cases = cases[:-1]
    assert_agrees(cases, batch=2)


def test_the_nearest_entry_where_positions_are_rounded():
    floor = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    cases = [
        case("Resize", (1, 2, 9, 10), None, np.array([1, 1, 0.6, 0.7], np.float32), **floor),
        case("Resize", (1, 2, 9, 10), None, np.array([1, 1, 1 / 3, 2], np.float32), **floor),
        case("Resize", (1, 2, 9, 10), None, None, ints(2, 2, 5, 7), **floor),
    ]
    assert_agrees(cases, batch=2)
    shrunk = [np.array([1, 1, *factors], np.float32) for factors in ((0.6, 0.7), (0.5, 1.5))]
    assert_agrees([case("Resize", (1, 2, 9, 10), factors) for factors in shrunk], opset=10)


def test_usual_resizing_is_tensorflows():
    factors = np.array([1, 1, 2, 2], np.float32)
    floor = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    converted = assert_agrees(
        [
            case("Resize", IMAGE, None, factors, mode="nearest", **floor),
            case("Resize", IMAGE, None, factors, mode="linear"),
        ]
    )
    assert kinds(converted).count("Resize") == 2
    assert "Einsum" not in kinds(converted)


def test_shape_arithmetic_is_worked_out_and_the_batch_stays_open(tmp_path):
    """What exporters write for `x.view(x.size(0), -1, x.size(3))`."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Gather", ["shape", "three"], ["width"]),
        helper.make_node("Unsqueeze", ["batch", "first"], ["batch1"]),
        helper.make_node("Unsqueeze", ["width", "first"], ["width1"]),
        helper.make_node("Concat", ["batch1", "minus", "width1"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
        helper.make_node("ConstantOfShape", ["batch_three"], ["ones"], value=helper.make_tensor(
            "v", TensorProto.FLOAT, [1], [1.0])),
        helper.make_node("Concat", ["batch1", "three1"], ["batch_three"], axis=0),
        helper.make_node("ReduceMean", ["x", "spatial"], ["m"], keepdims=0),
        helper.make_node("Concat", ["m", "ones"], ["z"], axis=1),
    ]  # fmt: skip
    constants = {
        "zero": np.int64(0), "three": np.int64(3), "first": ints(0), "minus": ints(-1),
        "three1": ints(3), "spatial": ints(2, 3),
    }  # fmt: skip
    inputs = [("x", ("N", 6, 4, 8), "float32")]
    path = save(nodes, inputs, ["y", "z"], constants, tmp_path / "net.onnx")
    converted = compare(path, batch=5)
    assert converted.model.output_shape == [(None, 24, 8), (None, 9)]


def test_branches_with_a_known_condition(tmp_path):
    def branch(op):
        node = helper.make_node(op, ["x"], [f"out_{op}"])
        output = helper.make_tensor_value_info(f"out_{op}", TensorProto.FLOAT, None)
        return helper.make_graph([node], op, [], [output])

    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["channels"]),
        helper.make_node("Equal", ["channels", "six"], ["condition"]),
        helper.make_node(
            "If", ["condition"], ["y"], then_branch=branch("Relu"), else_branch=branch("Exp")
        ),
    ]
    constants = {"one": np.int64(1), "six": np.int64(6)}
    inputs = [("x", ("N", 6, 4), "float32")]
    converted = compare(save(nodes, inputs, ["y"], constants, tmp_path / "net.onnx"))
    assert kinds(converted) == ["InputLayer", "ReLU"]


def test_embeddings():
    table = weights(4, 5)
    assert_agrees([case("Gather", table, (1, 7), dtype="int32")])


def test_a_flatten_becomes_the_order_of_the_rows(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    constants = {"k": weights(5, 3, 2, 2), "w": weights(5 * 3 * 4, 7)}
    inputs = [("x", (1, 3, 4, 5), "float32")]
    converted = compare(save(nodes, inputs, ["y"], constants, tmp_path / "net.onnx"), batch=1)
    assert kinds(converted) == ["InputLayer", "Conv2D", "Flatten", "Dense"]
    assert converted.model.input_shape == (None, 4, 5, 3)


def test_a_channel_shuffle_moves_channels_only(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Reshape", ["c", "split"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["t", "join"], ["j"]),
        helper.make_node("Conv", ["j", "k2"], ["y"]),
    ]
    constants = {
        "k": weights(6, 3, 1, 1), "k2": weights(2, 6, 1, 1),
        "split": ints(1, 2, 3, 4, 5), "join": ints(1, 6, 4, 5),
    }  # fmt: skip
    inputs = [("x", (1, 3, 4, 5), "float32")]
    converted = compare(save(nodes, inputs, ["y"], constants, tmp_path / "net.onnx"), batch=1)
    assert kinds(converted) == ["InputLayer", "Conv2D", "Take", "Conv2D"]


def test_open_sizes_that_are_needed_are_asked_for(tmp_path):
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    inputs = [("x", ("N", 3, "H", "W"), "float32")]
    path = save(nodes, inputs, ["y"], {"w": weights(60, 7)}, tmp_path / "net.onnx")
    with pytest.raises(ConversionError, match=r"\(Gemm\): .*--input_shape"):
        compare(path)
    compare(path, input_shape="-1,3,4,5")
