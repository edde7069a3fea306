import dataclasses
import hashlib

import pytest

from benchmarks.real_data import DataUnavailableError, cifar10_dir, data_file
from utils.errors import InputError
from utils.export.config import CheckConfig, ConvertConfig, ExportConfig
from utils.export.errors import ExportError
from utils.export.files import export_files, exported_path
from utils.export.runner import TFLiteRunner

ALL = ExportConfig(tflite="float32,dynamic,int8")


@pytest.fixture
def data(batches, calibration, accuracy):
    return {"dataset": batches, "calibration": [calibration], "calc_metrics": accuracy}


def test_names():
    assert exported_path("a/b.c/net.v2.keras", "int8").as_posix() == "a/b.c/net.v2_int8.tflite"


def test_writes_checked_files_beside_the_model(tmp_path, network, data, contents):
    results = export_files(network, tmp_path / "new" / "net.keras", ALL, **data)
    assert [result.kind for result in results] == ["float32", "dynamic", "int8"]
    for result in results:
        path = tmp_path / "new" / f"net_{result.kind}.tflite"
        assert result.path == str(path) and result.passed
        assert path.read_bytes() == contents[result.kind]
        assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_float_io_flag(tmp_path, network, data):
    config = ExportConfig(tflite="int8", convert=ConvertConfig(tflite_io="float32"))
    (result,) = export_files(network, tmp_path / "net.keras", config, **data)
    graph = TFLiteRunner(result.path).graph
    assert graph.tensors[graph.inputs["images"]].dtype == "float32"
    assert result.kind == "int8"


def test_none(tmp_path, network, data):
    assert export_files(network, tmp_path / "x.keras", ExportConfig(tflite="none"), **data) == []
    assert not list(tmp_path.iterdir())


def test_a_file_that_fails_its_check_is_not_written_the_others_are(
    tmp_path, network, data, contents
):
    older = {kind: tmp_path / f"net_{kind}.tflite" for kind in ("float32", "int8")}
    for path in older.values():
        path.write_bytes(b"older")
    strict = dataclasses.replace(ALL, check=CheckConfig(tflite_max_gap=0, tflite_min_agreement=1))
    data["calibration"] = [data["calibration"][0] / 8]
    with pytest.raises(ExportError, match=r"the int8 .tflite file differs too much") as caught:
        export_files(network, tmp_path / "net.keras", strict, **data)
    paths = {result.kind: result.path for result in caught.value.results}
    assert paths["float32"] == str(older["float32"]) and paths["int8"] is None
    assert older["float32"].read_bytes() == contents["float32"]
    assert older["int8"].read_bytes() == b"older"


def test_a_file_that_cannot_be_made_leaves_the_others(tmp_path, network, data, contents):
    data["calibration"] = None
    config = ExportConfig(tflite="float32,int8")
    message = r"^there is no int8 file: an int8 file needs calibration samples"
    with pytest.raises(ExportError, match=message) as caught:
        export_files(network, tmp_path / "net.keras", config, **data)
    float_result, int8_result = caught.value.results
    assert float_result.passed and not int8_result.passed
    assert int8_result.file_bytes == 0 and int8_result.failed.startswith("an int8 file needs")
    assert [path.name for path in tmp_path.iterdir()] == ["net_float32.tflite"]
    assert (tmp_path / "net_float32.tflite").read_bytes() == contents["float32"]


def test_an_unwritable_place_is_found_first(tmp_path, network, data):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot write .*is a file, not a folder"):
        export_files(network, tmp_path / "file" / "net.keras", ALL, **data)


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, network, data, monkeypatch):
    import pathlib

    write = pathlib.Path.write_bytes

    def full(path, content):
        if "int8" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        export_files(network, tmp_path / "net.keras", ALL, **data)
    assert not list(tmp_path.iterdir())


def test_resnet20_keeps_its_accuracy_in_int8(tmp_path):
    """Within 0.3 points, top-1 agrees on at least 98 % of 2,000 test images."""
    try:
        folder, weights = cifar10_dir(), data_file("weights/resnet20.npz")
    except DataUnavailableError as error:
        pytest.skip(str(error))
    from datasets.config import DataConfig
    from nets.pretrained import load_pretrained
    from nets.resnet_at_cifar10 import ModelHelper, ResnetAtCifar10Config

    config = ResnetAtCifar10Config(data=DataConfig(data_dir_local=str(folder)))
    helper = ModelHelper(config)
    model = helper.build_model()
    load_pretrained(model, weights, helper.npz_to_weights)
    (result,) = export_files(
        model,
        tmp_path / "resnet20.keras",
        ExportConfig(tflite="int8"),
        calibration=(images for images, _ in helper.build_dataset_calibration(100)),
        dataset=helper.build_dataset_eval().take(20),
        calc_metrics=lambda labels, outputs: helper.calc_loss(labels, outputs, [])[1],
    )
    assert result.num_samples == 2_000
    assert result.keras_top1 == pytest.approx(0.9165, abs=2e-4)  # 0.9173 of all 10,000
    assert abs(result.gap) <= 0.003
    assert result.agreement >= 0.985
    assert result.float_operators == ()
