import subprocess
import sys

import pytest

from utils.errors import InputError
from utils.export.config import CheckConfig, ConvertConfig, ExportConfig, parse_kinds
from utils.flags import describe, validate


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("float32,int8", ("float32", "int8")),
        (" int8 , dynamic,int8", ("dynamic", "int8")),
        ("none", ()),
        ("", ()),
    ],
)
def test_kinds(text, kinds):
    assert parse_kinds(text) == kinds


def test_unknown_kind():
    with pytest.raises(InputError, match=r"kind 'int4'. Did you mean 'int8'\? Valid: dynamic, fl"):
        ExportConfig(tflite="float32,int4").kinds()


def test_the_packed_file_has_a_flag_of_its_own():
    with pytest.raises(InputError, match=r"no .tflite file. Write it with --packed=always"):
        ExportConfig(tflite="int8,fpq").kinds()


def test_defaults_of_the_documentation():
    config = ExportConfig()
    assert config.kinds() == ("float32", "int8")
    assert config.convert == ConvertConfig(nb_smpls_calib=100, tflite_io="int8")
    assert (config.latency.nb_repts, config.latency.nb_repts_warmup) == (100, 100)
    assert config.latency.latency_threads == 1


@pytest.mark.parametrize(
    "config",
    [
        CheckConfig(tflite_max_gap=1.5),
        CheckConfig(tflite_min_agreement=-0.1),
        CheckConfig(tflite_max_error=-1.0),
        ConvertConfig(nb_smpls_calib=0),
        ConvertConfig(tflite_io="int4"),
    ],
)
def test_bounds(config):
    with pytest.raises(InputError, match="must be"):
        validate(config)


def test_every_flag_is_declared_once():
    names = [spec.name for spec in describe(ExportConfig)]
    assert len(names) == len(set(names)) == 16


def test_does_not_import_tensorflow():
    code = "import sys, utils.export.config; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def on(target, **options):
    return ExportConfig(convert=ConvertConfig(target=target), **options)


def test_a_target_is_about_files_that_can_run_there(monkeypatch):
    on("ethos-u55").require_possible()
    on("tflm", tflite="tflm").require_possible()
    on("litert").require_possible()
    ExportConfig(tflite="none").require_possible()
    with pytest.raises(InputError, match=r"^`target` is about int8 files.*--tflite=float32"):
        on("ethos-u55-128", tflite="float32").require_possible()
    with pytest.raises(InputError, match=r"^a file of the kind tflm runs in .* --target=litert"):
        on("litert", tflite="int8,tflm").require_possible()
    with pytest.raises(InputError, match=r"^`target` must be one of 'litert', 'tflm', "):
        validate(on("ethos-u56"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for target, package in (("ethos-u65", "ethos-u-vela"), ("cortex-m", "tflite-micro")):
        with pytest.raises(InputError, match=f"the package {package}, which is not installed"):
            on(target).require_possible()


def test_a_sparse_file_is_a_kind_of_its_own():
    assert ExportConfig(export_sparse=True).kinds() == ("float32", "int8", "sparse")
    assert ExportConfig(tflite="none", export_sparse=True).kinds() == ("sparse",)
