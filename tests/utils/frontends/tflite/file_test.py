"""Reading `.tflite` files that may come from anywhere."""

import time

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.utils.frontends.damage import damaged, outcomes
from tests.utils.frontends.tflite.tiny import sparse_product, tensor, write
from utils.errors import InputError
from utils.frontends.tflite.file import parse

WEIGHTS = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]], np.float16)
FILE = sparse_product(WEIGHTS)


def test_what_it_holds():
    found = parse(FILE)
    assert [each.name for each in found.operators] == ["DENSIFY", "DEQUANTIZE", "FULLY_CONNECTED"]
    assert found.operators[2].inputs == (0, 3, -1)
    assert found.inputs == {"x": 0} and found.outputs == {"y": 4}
    assert found.tensors[0].shape == (1, 4) and found.tensors[0].values is None
    np.testing.assert_array_equal(found.tensors[1].values, WEIGHTS)


def test_options_and_custom_operators():
    options = schema.LeakyReluOptionsT()
    options.alpha = 0.25
    tensors = [tensor("x", (1, 4)), tensor("h", (1, 4)), tensor("y", (1, 4))]
    operators = [("LEAKY_RELU", [0], [1], options), ("MyOwn", [1], [2], None)]
    found = parse(write(tensors, [], operators))
    assert found.operators[0].options == {"alpha": 0.25}
    assert found.operators[1].name == "custom MyOwn"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: b"", "not a .tflite file"),
        (lambda: FILE[:40], "is damaged"),
        (lambda: write([tensor("x", (1, 4)), tensor("w", (5, 9), 1)], [np.ones(3, np.float32)], []),
         "'w': 12 bytes are stored for the shape"),
        (lambda: write([tensor("x", (1,) * 9)], [], []), "has the shape"),
        (lambda: write([tensor("x", (-4, 1))], [], []), "has the shape"),
        (lambda: write([tensor("x", (1,), 77)], [], []), "lies in no buffer"),
        (lambda: write([tensor("x", (1,))], [], [("ABS", [0], [9], None)]), "beyond the 1 it has"),
    ],
)  # fmt: skip
def test_refusals(change, words):
    with pytest.raises(InputError, match=words):
        parse(change())


def test_a_sparse_bomb_is_refused_before_it_is_written_out():
    from tests.utils.frontends.tflite.tiny import sparsity

    layout = sparsity([0, 1], [], [1 << 15, ([0] * ((1 << 15) + 1), [])])
    bomb = write([tensor("x", (1, 4)), tensor("w", (1 << 15, 1 << 15), 1, sparsity=layout)],
                 [np.zeros(1, np.float32)], [])  # fmt: skip
    start = time.process_time()
    with pytest.raises(InputError, match="no room for it"):
        parse(bomb)
    assert time.process_time() - start < 5


def test_a_file_cannot_list_one_thing_again_and_again():
    tensors = [tensor("n" * 100, (1, 4))]
    content = bytearray(write(tensors * 3, [], []))
    # Let the vector of tensors be as long as the file: all of them are the first one.
    assert parse(bytes(content)).tensors[2].shape == (1, 4)
    with pytest.raises(InputError, match=r"more than its size allows|damaged|named|is damaged"):
        model = schema.Model.GetRootAs(content, 0)
        table = model.Subgraphs(0)._tab
        place = table.Vector(table.Offset(4)) - 4
        content[place : place + 4] = (len(content)).to_bytes(4, "little")
        parse(bytes(content))


def test_damaged_files_are_refused_or_read():
    found = outcomes(damaged(FILE, 400), parse)
    assert found.total() == 400 and min(found["read"], found["refused"]) > 10
