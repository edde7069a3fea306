import numpy as np
import onnx
import pytest
from onnx import helper, reference

from tests.utils.frontends.onnx.one_graph import case
from utils.frontends.onnx.folding import FOLDS, cast_type, target_shape
from utils.frontends.source import NotConvertible, SourceNode

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 3, 4)).astype(np.float32)
N = np.array([5, -7, 3], np.int64)


def ints(*values):
    return np.array(values, np.int64)


CASES = [
    *(case(name, X) for name in "Abs Neg Exp Floor Ceil Round Sign Sin Cos Erf Relu".split()),
    *(case(name, X) for name in "Sigmoid Tanh Softplus Identity Size Transpose".split()),
    *(case(name, np.abs(X)) for name in ("Sqrt", "Log", "Reciprocal")),
    *(case(name, X, X[0]) for name in "Add Sub Mul Div Min Max".split()),
    *(case(name, X, X[:1]) for name in "Equal Greater Less GreaterOrEqual LessOrEqual".split()),
    *(case(name, X > 0, X < 1) for name in ("And", "Or", "Xor")),
    case("Not", X > 0),
    case("Div", N, ints(2)),  # truncates, as C does
    case("Pow", np.abs(X), np.float32(1.5)),
    case("Mod", np.abs(N), ints(3)),
    case("Mod", N, ints(3)),
    case("Mod", N, ints(3), fmod=1),
    case("Where", X > 0, X, np.float32(0)),
    case("Cast", X, to=onnx.TensorProto.INT64),
    case("Reshape", X, ints(0, -1)),
    case("Flatten", X, axis=2),
    case("Flatten", X, axis=-1),
    case("Transpose", X, perm=[2, 0, 1]),
    case("Gather", X, ints(2, 0), axis=1),
    case("Slice", X, ints(3), ints(-100), ints(2), ints(-1)),
    case("Concat", X, X, axis=1),
    case("Unsqueeze", X, ints(0, 2)),
    case("Squeeze", X[:1], ints(0)),
    case("Split", X, ints(1, 2), axis=1, outputs=2),
    case("Expand", X[:, :1], ints(2, 3, 1)),
    case("Tile", X, ints(1, 2, 1)),
    case("Range", np.int64(2), np.int64(9), np.int64(3)),
    case("ConstantOfShape", ints(2, 3)),
    case("NonZero", X > 0),
    case("Trilu", X[0], upper=0),
    case("CumSum", X, np.int64(1)),
    case("ArgMax", X, axis=1),
    case("MatMul", X, X.transpose(0, 2, 1)),
    case("Pad", X, ints(0, 1, 0, 0, 0, 2)),
    case("Pad", X, ints(0, 1, 0, 0, 0, 2), mode="reflect"),
    case("Clip", X, np.float32(-0.5), np.float32(0.5)),
    case("ReduceSum", X, ints(1), keepdims=0),
    case("ReduceSum", X, ints(), keepdims=0),
    case("ReduceSum", X, ints(), noop_with_empty_axes=1),
    case("ReduceMean", X, ints(-1)),
    case("ReduceMax", X, ints(0, 1)),
    case("ScatterND", X, ints(0, 1).reshape(2, 1)[:1], X[:1]),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.op)
def test_constants_are_worked_out_as_onnx_defines(one):
    names = [f"x{i}" for i in range(len(one.inputs))]
    outputs = [f"y{i}" for i in range(one.outputs)]
    proto = helper.make_node(one.op, names, outputs, **one.attrs)
    model = reference.ReferenceEvaluator(proto)
    wanted = model.run(None, dict(zip(names, one.inputs, strict=True)))
    node = SourceNode("n", one.op, tuple(names), tuple(outputs), one.attrs)
    made = FOLDS[one.op](node, [np.asarray(item) for item in one.inputs])
    for ours, theirs in zip(made, wanted, strict=True):
        theirs = np.asarray(theirs)
        assert np.shape(ours) == theirs.shape
        np.testing.assert_allclose(np.asarray(ours, np.float64), theirs, atol=1e-5)
        assert np.asarray(ours).dtype.kind == theirs.dtype.kind


@pytest.mark.parametrize("one", [
    case("Tile", X, ints(1 << 20, 1 << 20, 1)),
    case("Range", np.int64(0), np.int64(1 << 40), np.int64(1)),
    case("Range", np.int64(0), np.int64(4), np.int64(0)),
    case("Pad", X, ints(0, 1 << 40, 0, 0, 0, 0)),
    case("Add", np.zeros((1 << 20, 1), np.float32), np.zeros((1, 1 << 20), np.float32)),
    case("MatMul", np.zeros((1 << 20, 1), np.float32), np.zeros((1, 1 << 20), np.float32)),
    case("Div", N, ints(0)),
    case("ConstantOfShape", ints(1 << 40, 1 << 40)),
    case("Cast", X, to=onnx.TensorProto.STRING),
], ids=lambda one: one.op)  # fmt: skip
def test_what_would_take_too_much_or_has_no_meaning_is_refused(one):
    node = SourceNode("n", one.op, ("x",), ("y",), one.attrs)
    with pytest.raises(NotConvertible):
        FOLDS[one.op](node, [np.asarray(item) for item in one.inputs])


def test_repeated_constants_take_no_memory():
    node = SourceNode("n", "ConstantOfShape", ("x",), ("y",), {})
    (made,) = FOLDS["ConstantOfShape"](node, [ints(1 << 30, 1 << 20)])
    assert made.shape == (1 << 30, 1 << 20)
    assert made.base.size == 1


def test_quantized_weights_become_floating_point():
    node = SourceNode("n", "DequantizeLinear", ("x",), ("y",), {"axis": 0})
    arrays = [np.array([[10, 20], [30, 40]], np.uint8), np.array([0.5, 2], np.float32),
              np.array([10, 30], np.uint8)]  # fmt: skip
    np.testing.assert_allclose(FOLDS["DequantizeLinear"](node, arrays)[0], [[0, 5], [0, 20]])


def test_zeros_in_a_target_keep_axes():
    assert target_shape((2, 3), (0, -1), allows_zero=False) == [2, -1]
    with pytest.raises(NotConvertible, match="has not"):
        target_shape((2,), (1, 0), allows_zero=False)
    assert cast_type(7) is np.int64
