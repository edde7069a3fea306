import struct

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from utils.export import decode_tables
from utils.export.decode_tables import encode_weights, with_decode
from utils.export.flatbuffer import read_graph
from utils.export.runner import TFLiteRunner
from utils.export.tflm import TFLMRunner


@pytest.fixture(scope="module")
def decoded(low_bit_file):
    return with_decode(low_bit_file)


def test_runs_bit_equal_in_tensorflow_lite_micro(low_bit_file, decoded):
    """Convolutions, a depthwise, a transposed, a dense and a shared one, on 60 inputs."""
    plain, packed = TFLMRunner(low_bit_file), TFLMRunner(decoded[0])
    inputs = plain.random_inputs(60)
    expected = [row[0] for row in plain.run(inputs)]
    assert len(np.unique(np.concatenate(expected))) > 20
    for one, other in zip(expected, packed.run(inputs), strict=True):
        np.testing.assert_array_equal(one, other[0])


def test_bytes_are_those_of_indices_and_tables(low_bit_file, decoded):
    content, tensors = decoded
    saved = sum(tensor.weights - tensor.bits / 8 for tensor in tensors)
    # What each operator adds weighs more than in real networks: the kernels are that small.
    assert len(low_bit_file) - saved == pytest.approx(len(content), abs=200 * len(tensors))
    assert {tensor.weights for tensor in tensors} == {588, 1728, 2304, 1024}
    assert all(tensor.width == 3 and tensor.values == 7 for tensor in tensors)


def test_each_reader_has_a_decode_just_before_it(decoded):
    graph = read_graph(decoded[0])
    made = {}
    for number, operator in enumerate(graph.operators):
        if operator.name == "CUSTOM":
            made[operator.outputs[0]] = number
    assert len(made) == 6  # the shared one twice
    for output, number in made.items():
        assert output in graph.operators[number + 1].inputs
        assert sum(output in operator.inputs for operator in graph.operators) == 1
        encoded = graph.tensors[graph.operators[number].inputs[0]]
        assert encoded.dtype == "uint8" and encoded.constant and not graph.tensors[output].constant


def test_only_tensors_at_the_border_have_names(low_bit_file, decoded):
    before, after = read_graph(low_bit_file), read_graph(decoded[0])
    border = {*after.input_order, *after.output_order}
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    for number, tensor in enumerate(after.tensors):
        assert tensor.name == (before.tensors[number].name if number in border else "")


def test_constants_are_aligned(decoded):
    content = decoded[0]
    model = schema.Model.GetRootAs(content, 0)
    for buffer in map(model.Buffers, range(model.BuffersLength())):
        if buffer.DataLength():
            offset = flatbuffers.number_types.UOffsetTFlags.py_type(buffer._tab.Offset(4))
            assert buffer._tab.Vector(offset) % 16 == 0
    assert content[4:8] == b"TFL3"


def test_layout_by_hand():
    """Two channels of three weights: a table of three values and one of two, filled up."""
    values = np.array([[[[5, -2]], [[6, 9]], [[-7, 9]]]], np.int8)  # [1, 3, 1, 2]
    found = encode_weights(values, 3)
    assert found.tables[:16] == bytes([0, 1, 0, 0, 1, 3 << 4 | 2, 3] + 9 * [0])
    assert struct.unpack("6b", found.tables[16:]) == (-7, 5, 6, -2, 9, 0)
    assert found.indices == bytes([0b01_00_10_01, 0b00_01_00_00])  # 5, -2, 6, 9 and -7, 9
    assert found.tensor.bits == 6 * 2 + 8 * 6


def test_wide_and_crosswise_tensors_stay():
    everything = np.arange(-128, 128).reshape(16, 16).astype(np.int8)
    assert encode_weights(everything, None) is None
    assert encode_weights(everything, 0).tensor.width == 4
    assert encode_weights(np.zeros((2, 2, 2), np.int8), 1) is None  # no tables along axis 1


def test_a_file_of_many_values_is_left_alone(contents):
    content, tensors = with_decode(contents["int8"])
    assert content == contents["int8"] and tensors == ()


def test_one_table_for_channels_of_their_own_would_be_wrong(low_bit_file, monkeypatch):
    """Why tables go along the axis of the scales: the runtime says nothing and computes others."""
    monkeypatch.setattr(decode_tables, "_axis", lambda tensor: None)
    monkeypatch.setattr(decode_tables, "_OVERHEAD_BYTES", 0)
    wrong, tensors = with_decode(low_bit_file)
    assert tensors and all(tensor.tables == 1 for tensor in tensors)
    plain, packed = TFLMRunner(low_bit_file), TFLMRunner(wrong)
    inputs = plain.random_inputs(3)
    outputs = zip(plain.run(inputs), packed.run(inputs), strict=True)
    assert not any(np.array_equal(one[0], other[0]) for one, other in outputs)


def test_the_plain_file_still_runs_elsewhere(low_bit_file, low_bit_images, low_bit_network):
    """What is rewritten is a copy."""
    before = bytes(low_bit_file)
    with_decode(low_bit_file)
    assert low_bit_file == before
    assert TFLiteRunner(low_bit_file)(low_bit_images[:1]).shape == (1, 10)
