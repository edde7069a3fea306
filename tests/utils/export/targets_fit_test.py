import keras
import pytest

from tests.utils.export.devices import noise
from utils.errors import InputError
from utils.export.targets_fit import misfits, require_fit
from utils.export.tflite import convert


def found(content, target):
    return {(each.operator, each.absent) for each in misfits(content, target)}


def test_what_is_computed_in_float_or_is_not_there(misfit_file):
    floats = ("CUMSUM", False)
    assert found(misfit_file, "litert") == {floats}
    assert found(misfit_file, "tflm") == {floats, ("GELU", True)}
    assert found(misfit_file, "ethos-u55") == {floats}
    (only,) = misfits(misfit_file, "litert")
    assert "umsum" in only.tensor and "computes in float" in str(only)


def test_integers_that_fit(shortcuts_file):
    for target in ("litert", "tflm", "cortex-m", "ethos-u65-512"):
        assert misfits(shortcuts_file, target) == ()
        assert require_fit(shortcuts_file, target) == ()


def test_the_refusal_names_operators_and_what_to_do(misfit_file):
    with pytest.raises(InputError) as refusal:
        require_fit(misfit_file, "ethos-u55")
    text = str(refusal.value)
    assert text.startswith("`target`: 1 operator of this network's int8 file cannot be computed")
    assert "on ethos-u55: CUMSUM (" in text and "--allow_float: computed by the Cortex-M" in text
    assert "\n" not in text
    (let,) = require_fit(misfit_file, "ethos-u55", allow_float=True)
    assert let.operator == "CUMSUM"


def test_what_is_not_there_at_all_is_not_allowed_either(misfit_file):
    with pytest.raises(InputError, match=r"2 operators .* on tflm: GELU .*; CUMSUM") as refusal:
        require_fit(misfit_file, "tflm")
    assert "--allow_float" not in str(refusal.value)
    with pytest.raises(InputError, match=r"1 operator .* on cortex-m: GELU"):
        require_fit(misfit_file, "cortex-m", allow_float=True)


def test_the_compiler_has_the_last_word_on_shapes():
    """A window that an Ethos-U cannot average over: its operator is in the table."""
    inputs = keras.Input((18, 18, 2))
    x = keras.layers.AveragePooling2D(9, strides=1, padding="same", name="wide")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(x))
    content = convert(model, "int8", [noise((18, 18, 2), 2)])
    (only,) = misfits(content, "ethos-u55")
    assert only.operator == "AVERAGE_POOL_2D" and only.reason
    assert misfits(content, "litert") == ()


def test_weights_of_another_format(shortcuts_file, monkeypatch):
    import dataclasses

    from utils.export import targets_fit
    from utils.export.flatbuffer import read_graph

    def narrow(content):
        graph = read_graph(content)
        kernels = {op.inputs[1] for op in graph.operators if op.name == "CONV_2D"}
        tensors = [
            dataclasses.replace(each, dtype="int4") if number in kernels else each
            for number, each in enumerate(graph.tensors)
        ]
        return dataclasses.replace(graph, tensors=tuple(tensors))

    monkeypatch.setattr(targets_fit, "read_graph", narrow)
    assert misfits(shortcuts_file, "tflm") == ()
    rows = misfits(shortcuts_file, "ethos-u55")
    assert len(rows) == 3 and rows[0].reason == "weights of int4, the device computes with int8"
