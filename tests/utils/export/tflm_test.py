import importlib.util

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from utils.errors import InputError
from utils.export import exporters, tflm
from utils.export.config import ConvertConfig, ExportConfig
from utils.export.conversion import Exported, convert_all
from utils.export.endpoints import output_names
from utils.export.errors import ExportError
from utils.export.exporters import Source
from utils.export.runner import TFLiteRunner
from utils.export.saved_model import write_saved_model
from utils.export.targets import TARGETS
from utils.export.tflite import convert
from utils.export.tflm import TFLMRunner, tflm_file


@pytest.fixture(scope="module")
def source(low_bit_network, low_bit_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    write_saved_model(low_bit_network, folder)
    samples = [{"images": image[None]} for image in low_bit_images]
    return Source(saved_model=folder, samples=samples, outputs=output_names(low_bit_network))


def test_the_file_is_made_and_run_beside_the_plain_one(source, low_bit_file):
    made = tflm_file(source)
    assert len(made.content) < len(low_bit_file)
    assert made.notes == (
        "The weights of 5 tensors are stored as indices of 3 bits: "
        f"{len(low_bit_file):,} -> {len(made.content):,} bytes. TensorFlow Lite Micro gives the "
        "outputs of the plain int8 file, bit for bit, on 36 of 36 inputs.",
    )


def test_other_outputs_are_refused(source, low_bit_file, monkeypatch):
    """Stands in for a table on the wrong axis: a file with other weights."""
    model = schema.Model.GetRootAs(low_bit_file, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    largest = max((b for b in buffers if b.DataLength()), key=lambda b: b.DataLength())
    weights = largest.DataAsNumpy().tobytes()
    other = low_bit_file.replace(weights, bytes(reversed(weights)))
    monkeypatch.setattr(tflm, "with_decode", lambda content: (other, ()))
    with pytest.raises(ExportError, match=r"gives other outputs on \d+ of 36 inputs"):
        tflm_file(source)


def test_agrees_with_the_other_interpreter(low_bit_file, low_bit_images):
    """Kernels differ in rounding, by a step of the output now and then."""
    ours = TFLMRunner(low_bit_file, num_threads=2)(low_bit_images)
    theirs = TFLiteRunner(low_bit_file)(low_bit_images)
    graph = TFLiteRunner(low_bit_file).graph
    (output,) = graph.outputs.values()
    step = float(graph.tensors[output].scale[0])
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < 2.5 * step
    single = TFLMRunner(low_bit_file)
    np.testing.assert_array_equal(single(low_bit_images), ours)


def test_several_inputs_and_outputs_by_name():
    keras.utils.set_random_seed(0)
    wide, narrow = keras.Input((8,), name="wide"), keras.Input((3,), name="narrow")
    joined = keras.layers.Concatenate()([wide, narrow])
    model = keras.Model([wide, narrow], [keras.layers.Dense(n)(joined) for n in (5, 2)])
    generator = np.random.default_rng(0)
    inputs = {
        "wide": generator.normal(size=(6, 8)).astype(np.float32),
        "narrow": generator.normal(size=(6, 3)).astype(np.float32),
    }
    content = convert(model, "int8", [inputs])
    outputs, expected = TFLMRunner(content)(inputs), TFLiteRunner(content)(inputs)
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_operators_that_are_lacking_are_named():
    inputs = keras.Input((6, 6, 4), name="x")
    x = keras.layers.Conv2D(4, 3, activation="gelu", name="conv")(inputs)
    content = convert(keras.Model(inputs, x), "float32")
    with pytest.raises(ExportError, match=r"Lite Micro has no operator GELU\. Replace the layers"):
        TFLMRunner(content)


def test_what_the_interpreter_refuses_is_told(low_bit_file):
    broken = TFLMRunner(low_bit_file)
    broken._content = low_bit_file[:40]
    with pytest.raises(ExportError, match=r"Lite Micro cannot run the file: .*\(status -?\d+\)"):
        broken.run(broken.random_inputs(1))


def test_the_list_of_operators_is_that_of_the_package():
    """What the interpreter registers is in its names; a newer package may have more."""
    found = importlib.util.find_spec("tflite_micro.python.tflite_micro._runtime")
    with open(found.origin, "rb") as stream:
        library = stream.read()
    for name in TARGETS["tflm"].operators - {"CUSTOM", "L2_NORMALIZATION"}:
        assert f"Register_{name}E".encode() in library, name
    for name in ("GELU", "TILE", "POW", "TOPK_V2"):
        assert f"Register_{name}E".encode() not in library, name


def test_a_missing_package_names_the_extra(low_bit_network, monkeypatch):
    monkeypatch.setattr(exporters.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"tflite_micro, which is not installed. Install the extra"
    ):
        ExportConfig(tflite="tflm").require_possible()
    ExportConfig(tflite="int8").require_possible()
    network = Exported(name="after", model=low_bit_network)
    found = convert_all([network], ["tflm"], ConvertConfig(packed="never"), None)
    assert "the package tflite_micro, which is not installed. Install the extra `tflm`: pip " in (
        found["after", "tflm"].failed
    )
