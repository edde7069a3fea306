import numpy as np
import pytest

from tests.utils.frontends.onnx.one_graph import (
    assert_agrees,
    case,
    kinds,
    network_of,
    random_feeds,
    run_built,
    run_source,
)
from utils.frontends.onnx.reader import convert
from utils.frontends.source import ConversionError

RANDOM = np.random.default_rng(0)
IMAGE = (1, 3, 4, 5)


def weights(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def test_functions_of_one_tensor():
    names = (
        "Abs Neg Exp Erf Floor Ceil Sign Sin Cos Relu Sigmoid Tanh Softplus Softsign HardSwish "
        "Mish Elu Selu LeakyRelu HardSigmoid Celu Reciprocal"
    ).split()
    assert_agrees(
        [
            *(case(name, IMAGE) for name in names),
            *(case(name, IMAGE, lowest=0.1) for name in ("Sqrt", "Log")),
            case("HardSigmoid", IMAGE, alpha=1 / 6, beta=0.5),
            case("Selu", IMAGE, alpha=1.5, gamma=0.8),
            case("Elu", IMAGE, alpha=0.4),
            case("ThresholdedRelu", IMAGE, alpha=0.5),
            case("Clip", IMAGE, np.float32(0), np.float32(6)),
            case("Clip", IMAGE, np.float32(-0.5), np.float32(0.5)),
            case("Clip", IMAGE, np.float32(-0.5)),
            case("Clip", IMAGE, None, np.float32(0.5)),
            case("PRelu", IMAGE, weights(3, 1, 1)),
            case("PRelu", IMAGE, weights(1)),
            case("Pow", IMAGE, np.float32(2)),
            case("Pow", IMAGE, np.float32(3)),
            case("Pow", IMAGE, np.float32(0.5), lowest=0.1),
            case("Cast", IMAGE, to=6),
        ]
    )


def test_gelu():
    assert_agrees([case("Gelu", IMAGE), case("Gelu", IMAGE, approximate="tanh")], opset=20)


def test_functions_of_several_tensors_broadcast():
    converted = assert_agrees(
        [
            *(case(name, IMAGE, IMAGE) for name in ("Add", "Sub", "Mul", "Min", "Max")),
            case("Div", IMAGE, IMAGE, lowest=0.5),
            case("Add", IMAGE, weights(3, 1, 1)),
            case("Mul", weights(1, 3, 1, 1), IMAGE),
            case("Sub", weights(5), IMAGE),
            case("Add", IMAGE, weights(4, 5)),
            case("Div", np.float32(2), IMAGE, lowest=0.5),
            case("Max", IMAGE, np.float32(0.3), IMAGE),
            case("Sum", IMAGE, IMAGE, IMAGE),
            case("Mean", IMAGE, IMAGE),
            case("Add", (1, 3, 1, 1), IMAGE),
            case("Mul", (1, 1, 4, 5), IMAGE),
        ]
    )
    assert not {"Permute", "Transpose"} & set(kinds(converted))


def test_comparisons_and_choices():
    assert_agrees(
        [
            case("Greater", IMAGE, np.float32(0)),
            case("LessOrEqual", IMAGE, IMAGE),
            case("Where", RANDOM.random((3, 4, 5)) > 0.5, IMAGE, np.float32(0)),
        ]
    )


def test_softmax_of_both_meanings():
    assert_agrees(
        [
            case("Softmax", IMAGE, axis=1),
            case("Softmax", IMAGE),
            case("LogSoftmax", (1, 7), axis=-1),
        ]
    )
    assert_agrees(
        [
            case("Softmax", IMAGE),  # over all but the batch
            case("Softmax", IMAGE, axis=3),
            case("LogSoftmax", (1, 7)),
            case("LogSoftmax", IMAGE, axis=1),
        ],
        opset=11,
    )


def test_the_logarithm_of_a_softmax_over_several_axes_is_finite(tmp_path):
    path = network_of([case("LogSoftmax", IMAGE, axis=1)], tmp_path / "net.onnx", opset=11)
    feeds = {"in0_0": np.linspace(-300, 300, 60, dtype=np.float32).reshape(IMAGE)}
    made, wanted = run_built(convert(path), feeds), run_source(path, feeds)
    for name, array in wanted.items():
        np.testing.assert_allclose(made[name], array, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    ("one", "opset", "words"),
    [
        (case("Shrink", IMAGE, lambd=0.5, bias=0.25), 18, "neither 0 nor its limit"),
        (case("Mod", IMAGE, weights(5), fmod=1), 18, "sign of the dividend"),
        (case("Add", IMAGE, weights(3), broadcast=1, axis=4), 6, "do not broadcast"),
        (case("Div", IMAGE, np.array(2, np.int32), dtype="int32"), 18, "divides integers"),
        (case("ArgMax", IMAGE, axis=1, select_last_index=1), 18, "the last of equal entries"),
    ],
)
def test_settings_without_a_counterpart_are_named(tmp_path, one, opset, words):
    path = tmp_path / "net.onnx"
    network_of([one], path, opset=opset)
    with pytest.raises(ConversionError, match=words):
        convert(str(path))


def test_shrinking_by_an_offset():
    assert_agrees([case("Shrink", IMAGE, lambd=0.5), case("Shrink", IMAGE, lambd=0.5, bias=0.5)])


def test_operands_of_old_files_lie_where_their_axis_says(tmp_path):
    bias, slope = weights(3), weights(3)
    cases = [
        case("Add", IMAGE, bias, broadcast=1, axis=1),
        case("Mul", IMAGE, weights(4, 5), broadcast=1),
        case("PRelu", IMAGE, slope),
    ]
    path = tmp_path / "net.onnx"
    network_of(cases, path, opset=6)
    converted = convert(str(path))
    feeds = random_feeds(converted)
    added, scaled, bent = run_built(converted, feeds).values()
    first, second, third = feeds.values()
    np.testing.assert_allclose(added, first + bias[:, None, None], rtol=1e-6)
    np.testing.assert_allclose(scaled, second * cases[1].inputs[1], rtol=1e-6)
    wanted = np.where(third > 0, third, third * slope[:, None, None])
    np.testing.assert_allclose(bent, wanted, rtol=1e-6)
