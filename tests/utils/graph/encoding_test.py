import json

import numpy as np
import pytest

from utils.errors import InputError
from utils.graph.encoding import MAX_DEPTH, Decoder, Encoder
from utils.graph.ir import Ref

VALUE = {
    "plain": [None, True, 3, 0.5, "text"],
    "tuple": (1, (2, [3])),
    "key": (Ellipsis, slice(None, 4, -2), None, slice(1, None)),
    "ref": [Ref("node#1", 2)],
    "numpy": np.float32(0.25),
    "floats": [float("inf"), float("-inf")],
}


def test_round_trip_is_exact():
    encoder = Encoder()
    text = json.dumps(encoder.encode({**VALUE, "array": np.arange(3)}), allow_nan=False)
    decoded = Decoder({"0": encoder.arrays[0]}).decode(json.loads(text))
    np.testing.assert_array_equal(decoded.pop("array"), [0, 1, 2])
    assert decoded == VALUE and isinstance(decoded["tuple"][1], tuple)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), r"a builtins.object cannot be written to a graph file"),
        ({1: 2}, r"names in attrs must be strings that do not start with '\$'. Received: 1"),
        ({"$ref": 2}, r"names in attrs .* Received: '\$ref'"),
    ],
)
def test_refuses_to_write(value, message):
    with pytest.raises(InputError, match=message):
        Encoder().encode(value)


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_nested(MAX_DEPTH + 1), r"nested more than 64 deep"),
        ([1 << 60], r"an integer must be at most 9,007,199,254,740,992. Received: 1152921504"),
        ({"$ref": ["a"]}, r"a value must be one of \$tuple.*Received: \{'\$ref': \['a'\]\}"),
        ({"$ref": ["a", True]}, r"a value must be one of"),
        ({"$slice": [0, 1]}, r"a value must be one of"),
        ({"$slice": [0, 1, "x"]}, r"a value must be one of"),
        ({"$float": "1.0"}, r"a value must be one of"),
        ({"$tuple": [], "more": 1}, r"a value must be one of"),
        ({"$constant": 7}, r"a value must be one of"),
        ({"$eval": "1+1"}, r"a value must be one of"),
    ],
)
def test_refuses_to_read(value, message):
    with pytest.raises(InputError, match=message):
        Decoder({}).decode(value)


def test_refuses_code_anywhere_in_attrs():
    attrs = {"layer": {"class_name": "__lambda__", "config": {"value": "AAAA"}}}
    with pytest.raises(InputError, match=r"layer 'outer' is a Lambda: it runs Python code"):
        Decoder({}).attrs(attrs, "outer")
    assert Decoder({}, allow_unsafe=True).attrs(attrs, "outer") == attrs
    with pytest.raises(InputError, match=r"layer 'outer': attrs must be an object. Received: \[\]"):
        Decoder({}).attrs([], "outer")
