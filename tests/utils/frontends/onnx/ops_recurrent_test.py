import numpy as np
import pytest

from tests.utils.frontends.onnx.one_graph import assert_agrees, case, kinds
from utils.frontends.source import ConversionError

RANDOM = np.random.default_rng(0)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(op, directions=1, bias=True, outputs=1, **attrs):
    units, count = 4, GATES[op]
    arrays = [
        RANDOM.normal(size=shape).astype(np.float32)
        for shape in (
            (directions, count * units, 3),
            (directions, count * units, units),
            (directions, 2 * count * units),
        )
    ]
    inputs = [(1, 2, 3), *arrays[:2], arrays[2] if bias else None]
    attrs = {
        "hidden_size": units,
        "direction": ["forward", "bidirectional"][directions - 1],
        **attrs,
    }
    return case(op, *inputs, outputs=outputs, **attrs)


def test_all_layers_in_both_directions():
    assert_agrees(
        [
            layer("LSTM", outputs=3),
            layer("LSTM", directions=2, outputs=3),
            layer("LSTM", direction="reverse", outputs=2),
            layer("LSTM", bias=False),
            layer("GRU", outputs=2),
            layer("GRU", linear_before_reset=1, outputs=2),
            layer("GRU", directions=2, linear_before_reset=1),
            layer("RNN", outputs=2),
            layer("RNN", activations=["Relu"]),
            layer("RNN", activations=["Elu"], activation_alpha=[1.0]),
        ],
        batch=3,
    )


def test_what_keras_has_not_is_named():
    with pytest.raises(ConversionError, match="limits its cell") as caught:
        assert_agrees(
            [
                layer("LSTM", clip=1.0),
                layer("GRU", activations=["Affine", "Tanh"]),
                layer("RNN", activations=["Elu"], activation_alpha=[0.5]),
            ],
            batch=3,
        )
    assert len(caught.value.offenders) == 3
    assert "its Elu has the alpha 0.5; in Keras it is 1" in str(caught.value)


def test_sequence_and_states_come_from_one_layer():
    assert kinds(assert_agrees([layer("LSTM", outputs=3)], batch=3)).count("LSTM") == 1
