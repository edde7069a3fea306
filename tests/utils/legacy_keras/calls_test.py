import keras
import pytest

from utils.errors import InputError
from utils.legacy_keras.calls import NotYetError, arguments, tensors

A, B, C = (keras.Input((3,), name=name) for name in "abc")
CALLS = {"x": [[A, B]], "model": [[], [C]], "later": []}


@pytest.mark.parametrize(
    ("node", "args", "kwargs"),
    [
        ([["x", 0, 1, {}]], [B], {}),
        ([["x", 0, 0]], [A], {}),
        ([["x", 0, 0, {}], ["model", 1, 0, {"training": False}]], [[A, C]], {"training": False}),
        ([["x", 0, 0, {"mask": None, "value": ["x", 0, 1]}]], [A], {"value": B}),
        (["x", 0, 0, {"y": 2.0, "name": None}], [A], {"y": 2.0}),
        (["_CONSTANT_VALUE", -1, 1.0, {"y": ["x", 0, 0]}], [1.0], {"y": A}),
        ([["x", 0, 0, {"initial_state": [["x", 0, 1], ["model", 1, 0]]}]], [A],
         {"initial_state": [B, C]}),
        ([["x", 0, 0, {"slice_spec": ["relu", 0, 0]}]], [A], {"slice_spec": ["relu", 0, 0]}),
        ({"left": ["x", 0, 0], "right": ["x", 0, 1]}, [{"left": A, "right": B}], {}),
    ],
)  # fmt: skip
def test_arguments_of_keras_2(node, args, kwargs):
    found = arguments(node, CALLS)
    flat = keras.tree.flatten([args, kwargs])
    assert all(a is b or a == b for a, b in zip(keras.tree.flatten(found), flat, strict=True))
    assert keras.tree.map_structure(type, list(found)) == keras.tree.map_structure(
        type, [args, kwargs]
    )


def test_arguments_of_today():
    written = {
        "args": [{"class_name": "__keras_tensor__", "config": {
            "shape": [None, 3], "dtype": "float32", "keras_history": ["model", 1, 0]}}, 2.0],
        "kwargs": {"mask": None},
    }  # fmt: skip
    args, kwargs = arguments(written, CALLS)
    assert args[0] is C and args[1] == 2.0 and kwargs == {"mask": None}
    written["args"][0]["config"]["keras_history"] = ["gone", 0, 0]
    with pytest.raises(InputError, match=r"a layer reads 'gone', which is not there"):
        arguments(written, CALLS)


def test_tensors_to_come():
    for ref in (["later", 0, 0], ["model", 0, 0], ["x", 1, 0]):
        with pytest.raises(NotYetError):
            tensors(ref, CALLS)
    with pytest.raises(InputError, match=r"layer 'x' has no output 2"):
        tensors(["x", 0, 2], CALLS)
