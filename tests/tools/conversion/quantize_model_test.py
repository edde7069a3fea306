"""The command that quantizes a network without training, and what it refuses."""

import dataclasses
import json
import types

import keras
import numpy as np
import pytest

from learners.post_training.config import PostTrainingConfig
from tools.conversion.quantize_model import QuantizeModelConfig, main, say_few_bits
from utils.export.flatbuffer import read_graph
from utils.files import save_keras_model
from utils.graph import from_keras
from utils.quantization.grid import Scaling


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network and its samples."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1), name="images")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, name="fc")(x), name="net")
    folder = tmp_path_factory.mktemp("quantize")
    save_keras_model(model, folder / "net.keras")
    images = np.random.default_rng(0).random((40, 8, 8, 1), dtype=np.float32)
    np.save(folder / "images.npy", images)
    np.save(folder / "wide.npy", images[:, :, :4])
    np.save(folder / "broken.npy", np.where(images > 0.99, np.nan, images))
    return folder


def _call(folder, *options):
    return main([f"--model_file={folder}/net.keras", *options])


def test_a_file_and_a_table_that_is_used_again(folder, capsys):
    table, target = folder / "table.json", folder / "net_int8.tflite"
    options = (f"--calibration_file={folder}/images.npy", f"--table={table}")
    assert _call(folder, *options, "--input_node=images:0", "--output_node=fc") == 0
    told = capsys.readouterr()
    assert "agreement" in told.out and "net_int8.tflite" in told.out.replace("\n", "")
    assert "the ranges are in" in told.err
    graph = read_graph(target.read_bytes())
    assert not graph.float_operators()
    edited = json.loads(table.read_text())
    edited["ranges"]["conv"] = [0.0, 25.5]
    table.write_text(json.dumps(edited))
    assert _call(folder, *options, f"--out_file={folder}/again.tflite") == 0
    again = read_graph((folder / "again.tflite").read_bytes())
    steps = [float(tensor.scale[0]) for tensor in again.tensors if len(tensor.scale) == 1]
    assert any(abs(step - 0.1) < 1e-6 for step in steps)


def test_a_document_stands_for_flags(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "quantize.yml").write_text(
        "MODEL:\n  file: net.keras\n"
        "QUAN:\n  strategy: scale_shift\n"
        "  qconfig: {weight_quan: perlayer, image_path: images.npy}\n"
        "EVALUATION:\n  input_node: '0:0'\n  label_file: labels.txt\n"
        "SAVE_PATH: quantized.tflite\n"
    )
    assert main(["--config-file=quantize.yml"]) == 0
    told = capsys.readouterr()
    assert "label_file of EVALUATION have no effect" in told.err
    assert "quantized.tflite" in told.out
    for tensor in read_graph((folder / "quantized.tflite").read_bytes()).tensors:
        if tensor.dtype == "int8":
            assert np.array_equal(np.log2(tensor.scale), np.round(np.log2(tensor.scale)))


def test_a_file_that_computes_something_else_is_not_written(folder, capsys, monkeypatch):
    from tools.conversion import quantize_model

    def other(trained, config, source):
        wide = {
            ref: Scaling(each.scale / 50, each.zero_point) for ref, each in trained.scalings.items()
        }
        return file_of(dataclasses.replace(trained, scalings=wide), config, source)

    file_of = quantize_model.file_of
    monkeypatch.setattr(quantize_model, "file_of", other)
    target = folder / "clipped.tflite"
    assert _call(folder, f"--calibration_file={folder}/images.npy", f"--out_file={target}") != 0
    assert "the file is not the quantized network" in capsys.readouterr().err
    assert not target.exists()


def test_all_strategies_in_one_table(folder, capsys):
    table = folder / "not_written.json"
    options = (f"--calibration_file={folder}/images.npy", f"--table={table}")
    assert _call(folder, *options, "--compare") == 0
    assert not table.exists()  # each strategy has ranges of its own
    text = capsys.readouterr().out
    for name in ("null", "minmax", "symmetry_max", "scale_shift", "minmax_t", "scale_shift_t"):
        assert f" {name} " in text
    assert not (folder / "net_int8_compare.tflite").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "ranges need samples"),
        (("--calibration_file={}/wide.npy",), "must have the shape (n, 8, 8, 1)"),
        (("--calibration_file={}/broken.npy",), "contain NaN or infinity"),
        (("--calibration_file={}/images.npy", "--strategy=null"), "quantizes nothing"),
        (("--calibration_file={}/images.npy", "--input_node=conv:0"), "must be an input"),
        (("--calibration_file={}/images.npy", "--strategy=best"), "must be one of"),
        (("--calibration_file={}/images.npy", "--table={}/images.npy"), "cannot be read"),
        (
            ("--strategy=symmetry_max", "--activation_bits=16", "--calibration_file={}/images.npy"),
            "Give --way=litert-quantizer",
        ),
        (("--config-file={}/missing.yml",), "cannot be read"),
        (("--model_file={}/missing.keras",), "no file or folder"),
    ],
)
def test_bad_input_is_refused_in_one_line(folder, capsys, options, message):
    status = _call(folder, *(option.format(folder) for option in options))
    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert message in lines[-1]
    assert lines[-1].startswith("error: ") and len(lines) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out_file={}/net.h5",), "must end in .tflite, .onnx or .pb"),
        (("--out_file={}",), "exists. Name a folder that does not"),
        (("--out_file={}/net.pb", "--way=litert-quantizer"), "is of .tflite files"),
        (("--weight_bits=6", "--way=litert-quantizer"), "must be 4 or 8"),
        (("--tflite_io=float32", "--way=litert-quantizer"), "take and give integers"),
    ],
)
def test_wrong_outputs_are_refused(folder, capsys, options, message, monkeypatch):
    monkeypatch.setattr("utils.export.litert_quantizer.require_package", lambda: None)
    given = [option.format(folder) for option in options]
    assert _call(folder, f"--calibration_file={folder}/images.npy", *given) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]


@pytest.mark.parametrize("name", ["frozen.pb", "saved"])
def test_networks_with_fake_quantization_for_tensorflow(folder, capsys, name):
    target = folder / "out" / name
    target.parent.mkdir(exist_ok=True)
    options = (f"--calibration_file={folder}/images.npy", f"--out_file={target}")
    assert _call(folder, *options, "--nb_smpls_calib=8") == 0
    assert "from the quantized network" in capsys.readouterr().out.replace("\n", " ")
    assert [each.name for each in target.parent.glob(f"*{name}*")] == [name]
    content = target if target.is_file() else target / "saved_model.pb"
    assert b"FakeQuantWithMinMaxVarsPerChannel" in content.read_bytes()


def test_a_package_that_is_missing_is_named(folder, capsys, monkeypatch):
    monkeypatch.setattr("utils.export.litert_quantizer.importlib.util.find_spec", lambda name: None)
    status = _call(folder, f"--calibration_file={folder}/images.npy", "--way=litert-quantizer")
    assert status == 2
    assert "pip install '.[litert]'" in capsys.readouterr().err


def test_an_operator_without_integers_is_named(folder, capsys):
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, keras.layers.LayerNormalization(name="norm")(inputs))
    save_keras_model(model, folder / "norm.keras")
    np.save(folder / "rows.npy", np.random.default_rng(0).random((8, 6, 4), np.float32))
    options = (f"--model_file={folder}/norm.keras", f"--calibration_file={folder}/rows.npy")
    assert main([*options]) == 2
    assert "1 operators have no int8 form, the first 'norm'" in capsys.readouterr().err
    assert main([*options, "--compare"]) == 2
    assert "1 operators have no int8 form, the first 'norm'" in capsys.readouterr().err
    assert main([*options, "--compare", "--allow_float"]) == 0


@pytest.mark.parametrize(("way", "bits"), [("litert-quantizer", 4), ("converter", 4)])
def test_kernels_without_a_form_of_few_bits_are_named(way, bits, capsys):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.DepthwiseConv2D(3, name="deep")(keras.layers.Conv2D(4, 3, name="wide")(inputs))
    source = types.SimpleNamespace(graph=from_keras(keras.Model(inputs, x)))
    config = QuantizeModelConfig(quantization=PostTrainingConfig(weight_bits=bits), way=way)
    say_few_bits(source, config)
    said = " ".join(capsys.readouterr().err.split())
    assert ("are held as int8: deep." in said) == (way == "litert-quantizer")
    assert "wide" not in said
