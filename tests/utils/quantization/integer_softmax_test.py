"""Softmax in integers against the kernels of the runtime and of the micro runtime."""

import pathlib

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given
from hypothesis import strategies as st

from utils.export.exporters import Source
from utils.export.saved_model import write_saved_model
from utils.export.tflite import int8_file, quiet_converter
from utils.quantization.fake_quant import FakeQuant, on_grid
from utils.quantization.integer_softmax import exponential, softmax

_RNG = np.random.default_rng(0)


def _file(width: int, reach: float, folder: pathlib.Path) -> bytes:
    inputs = keras.Input((width,))
    before, behind = FakeQuant(), FakeQuant()
    model = keras.Model(inputs, behind(keras.layers.Softmax()(before(inputs))))
    for layer, ends in ((before, on_grid(-reach, 0.8 * reach)), (behind, (0.0, 255 / 256))):
        layer.least.assign(ends[0])
        layer.greatest.assign(ends[1])
    with quiet_converter():
        write_saved_model(model, folder, unroll=False)
        return int8_file(Source(saved_model=folder, ranges_inside=True)).content


@pytest.mark.parametrize(("width", "reach"), [(10, 6.0), (60, 2.0), (3, 300.0)])
def test_integers_are_those_of_the_kernels(width, reach, tmp_path) -> None:
    content = _file(width, reach, tmp_path)
    rows = _RNG.integers(-128, 128, (200, width)).astype(np.int8)
    rows[:50] = np.clip(_RNG.normal(size=(50, width)) * 3, -128, 127)
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for row in rows:
        interpreter.set_tensor(source["index"], row[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0])
    expected = softmax(rows, source["quantization"][0])
    np.testing.assert_array_equal(found, expected)
    assert np.unique(expected).size > 2
    micro = pytest.importorskip("tflite_micro").runtime.Interpreter.from_bytes(content)
    micro.set_input(rows[60][None], 0)
    micro.invoke()
    np.testing.assert_array_equal(micro.get_output(0)[0], expected[60])


@given(st.lists(st.integers(-(2**31), 0), min_size=1, max_size=20))
def test_exponentials_are_exact_to_a_millionth(values: list[int]) -> None:
    found = exponential(np.array(values)) / 2.0**31
    np.testing.assert_allclose(found, np.exp(np.array(values) / 2.0**26), atol=1e-6)


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=30), st.floats(1e-4, 10.0))
def test_close_to_the_function_itself(row: list[int], scale: float) -> None:
    found = (softmax(np.array([row], np.int8), scale)[0].astype(int) + 128) / 256
    powers = np.exp(scale * (np.array(row) - max(row)))
    np.testing.assert_allclose(found, np.minimum(powers / powers.sum(), 255 / 256), atol=0.6 / 256)
