import numpy as np
import pytest

from tests.utils.frontends.onnx.one_graph import assert_agrees, case, kinds
from utils.frontends.source import ConversionError

RANDOM = np.random.default_rng(0)


def weights(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def test_convolutions():
    image = (1, 6, 9, 8)
    converted = assert_agrees(
        [
            case("Conv", image, weights(4, 6, 3, 3), weights(4), pads=[1, 1, 1, 1]),
            case("Conv", image, weights(4, 6, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2]),
            case("Conv", image, weights(4, 6, 3, 2), pads=[0, 1, 2, 0], strides=[2, 1]),
            case("Conv", image, weights(8, 3, 3, 3), weights(8), group=2),
            case("Conv", image, weights(12, 1, 3, 3), weights(12), group=6, pads=[1, 1, 1, 1]),
            case("Conv", image, weights(6, 1, 3, 3), group=6, strides=[2, 1]),
            case("Conv", image, weights(4, 6, 3, 3), dilations=[2, 1], pads=[2, 1, 2, 1]),
            case("Conv", image, weights(4, 6, 3, 3), dilations=[2, 2], strides=[2, 2]),
            case("Conv", image, weights(4, 6, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
            case("Conv", image, weights(4, 6, 2, 2), auto_pad="SAME_LOWER"),
            case("Conv", (1, 4, 11), weights(6, 4, 3), weights(6), pads=[1, 2], strides=[2]),
            case("Conv", (1, 4, 11), weights(4, 1, 5), group=4, pads=[2, 2]),
            case("Conv", (1, 2, 5, 6, 7), weights(3, 2, 3, 3, 3), pads=[1, 0, 1, 1, 0, 1]),
            case("Conv", (1, 4, 5, 6, 7), weights(4, 2, 2, 2, 2), weights(4), group=2),
        ]
    )
    assert not {"Permute", "Transpose"} & set(kinds(converted))


def test_transposed_convolutions():
    image = (1, 4, 5, 6)
    two = {"strides": [2, 2]}
    assert_agrees(
        [
            case("ConvTranspose", image, weights(4, 3, 2, 2), weights(3), **two),
            case("ConvTranspose", image, weights(4, 3, 4, 4), pads=[1, 1, 1, 1], **two),
            case(
                "ConvTranspose", image, weights(4, 3, 3, 3), weights(3), pads=[1, 1, 1, 1],
                output_padding=[1, 1], **two,
            ),
            case("ConvTranspose", image, weights(4, 3, 3, 3), pads=[0, 1, 2, 0]),
            case("ConvTranspose", image, weights(4, 2, 3, 3), weights(4), group=2, **two),
            case("ConvTranspose", image, weights(4, 1, 4, 4), group=4, pads=[1, 1, 1, 1], **two),
            case("ConvTranspose", image, weights(4, 2, 3, 3), dilations=[2, 2]),
            case(
                "ConvTranspose", image, weights(4, 2, 2, 2), strides=[3, 3], output_padding=[2, 0]
            ),
            case("ConvTranspose", image, weights(4, 2, 3, 3), auto_pad="SAME_UPPER", **two),
            case("ConvTranspose", image, weights(4, 2, 3, 3), output_shape=[10, 11], **two),
            case("ConvTranspose", image, weights(4, 2, 3, 3), output_shape=[9, 10], **two),
            case(
                "ConvTranspose", image, weights(4, 2, 3, 3), auto_pad="SAME_UPPER",
                output_shape=[9, 10], **two,
            ),
            case(  # one position more than the windows reach
                "ConvTranspose", (1, 4, 3, 3), weights(4, 2, 3, 3), weights(2), strides=[3, 2],
                output_shape=[10, 8],
            ),
            case("ConvTranspose", (1, 4, 7), weights(4, 2, 4), pads=[1, 1], strides=[2]),
            case("ConvTranspose", (1, 2, 3, 4, 3), weights(2, 2, 2, 2, 2), strides=[2, 2, 2]),
        ]
    )  # fmt: skip


def test_pooling():
    image, three = (1, 3, 7, 8), {"kernel_shape": [3, 3]}
    around = {"pads": [1, 1, 1, 1]}
    cases = [
        case("MaxPool", image, **three),
        case("MaxPool", image, strides=[2, 2], **three, **around),
        case("MaxPool", image, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        case("MaxPool", image, kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[2, 2]),
        case("MaxPool", image, strides=[2, 2], pads=[0, 0, 1, 1], **three),
        case("AveragePool", image, **three),
        case("AveragePool", image, strides=[2, 2], **three, **around),
        case("AveragePool", image, strides=[2, 2], count_include_pad=1, **three, **around),
        case("AveragePool", image, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        case("AveragePool", image, strides=[2, 2], pads=[0, 1, 1, 0], **three),
        case("AveragePool", image, auto_pad="SAME_UPPER", strides=[2, 2], **three),
        case("AveragePool", (1, 3, 9), kernel_shape=[2], strides=[2]),
        case("MaxPool", (1, 2, 4, 5, 6), kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
        case("GlobalAveragePool", image),
        case("GlobalMaxPool", image),
        case("GlobalAveragePool", (1, 3, 9)),
    ]
    converted = assert_agrees(cases)
    assert not {"Permute", "Transpose"} & set(kinds(converted))


def test_normalization():
    image = (1, 6, 5, 4)
    positive = np.abs(weights(6)) + 0.5
    assert_agrees(
        [
            case(
                "BatchNormalization", image, weights(6), weights(6), weights(6), positive,
                epsilon=1e-3,
            ),
            case("InstanceNormalization", image, weights(6), weights(6)),
            case("LayerNormalization", (1, 7, 6), weights(6), weights(6)),
            case("LayerNormalization", image, weights(6, 5, 4), weights(6, 5, 4), axis=1),
            case("LayerNormalization", (1, 7, 6), weights(6), axis=-1, epsilon=1e-3),
        ]
    )  # fmt: skip


def test_group_normalization_of_the_newer_form():
    assert_agrees(
        [case("GroupNormalization", (1, 6, 5, 4), weights(6), weights(6), num_groups=3)], opset=21
    )


def test_products():
    assert_agrees(
        [
            case("Gemm", (1, 6), weights(4, 6), weights(4), transB=1),
            case("Gemm", (1, 6), weights(6, 4), weights(1, 4), alpha=0.5, beta=2.0),
            case("MatMul", (1, 5, 6), weights(6, 3)),
            case("MatMul", (1, 2, 5, 6), weights(6, 3)),
            case("MatMul", (1, 5, 6), (1, 6, 4)),
            case("MatMul", weights(3, 5), (1, 5, 4)),
            case("MatMul", (1, 2, 5, 6), weights(2, 6, 3)),
            case("Einsum", (1, 5, 6), (1, 4, 6), equation="bqd,bkd->bqk"),
        ]
    )


def test_what_is_computed_or_wrong_is_named():
    with pytest.raises(ConversionError) as caught:
        assert_agrees(
            [
                case("Conv", (1, 3, 5, 5), (3, 3, 3, 3)),
                case("Conv", (1, 3, 5, 5), weights(4, 2, 3, 3)),
                case("MaxPool", (1, 3, 9, 9), kernel_shape=[2, 2], dilations=[2, 2]),
            ]
        )
    names = [bad.name for bad in caught.value.offenders]
    assert names == ["0_Conv", "1_Conv", "2_MaxPool"]
    assert "its kernel is computed while the network runs" in str(caught.value)
    assert "does not fit 3 channels" in str(caught.value)
