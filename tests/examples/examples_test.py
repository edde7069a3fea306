"""The examples run from end to end, on small parts of their data."""

import importlib.util
import json
import pathlib

import pytest

import main
from benchmarks.real_data import DataUnavailableError, cifar10_dir, data_file
from datasets import cifar10_dataset
from datasets.dataset_info import Arrays

ROOT = pathlib.Path(main.__file__).resolve().parent
QUICK = ["--nb_repts=1", "--nb_repts_warmup=0", "--cpr_nb_smpls=100", "--cpr_nb_crops_per_smpl=4",
         "--tflite_max_gap=1", "--tflite_min_agreement=0"]  # fmt: skip


@pytest.fixture
def example(monkeypatch):
    """Load an example; its commands run in this process, with quick settings."""

    def flowpress(*flags):
        assert main.run([*flags, *QUICK]) == 0

    def load(name):
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(module, "flowpress", flowpress)
        return module

    return load


def needed(find, *names):
    try:
        return find(*names)
    except DataUnavailableError as error:
        pytest.skip(str(error))


def test_image_folder(example, tmp_path):
    data = needed(data_file, "fashion_mnist")
    right = example("image_folder").main(
        [f"--fashion_mnist={data}", f"--out_dir={tmp_path}", "--pictures=1500", "--epochs=4"]
    )
    assert right > 0.3  # of ten classes, after four epochs of 1,500 pictures
    assert (tmp_path / "photos" / "test" / "bag").is_dir()


def test_keyword_for_microcontroller(example, tmp_path):
    pytest.importorskip("tflite_micro")
    data = needed(data_file, "fsdd")
    needs = example("keyword_for_microcontroller").main(
        [f"--fsdd={data}", f"--out_dir={tmp_path}", "--epochs=0.05,0.05"]
    )
    assert 5 < needs["flash_kb"] < 60
    assert 1 < needs["arena_kb"] < 200
    assert (tmp_path / "model_int8.cc").is_file()


@pytest.fixture
def part_of_cifar10(monkeypatch):
    """The first 1,000 images of either split: a tenth of the time of all evaluations."""
    read = cifar10_dataset._read_folder

    def part(folder):
        return Arrays(*(array[:1000] for array in read(folder)))

    monkeypatch.setattr(cifar10_dataset, "_read_folder", part)


def test_resnet20_to_int8(example, part_of_cifar10, tmp_path):
    found = example("resnet20_to_int8").main(
        [
            f"--cifar10={needed(cifar10_dir)}",
            f"--weights={needed(data_file, 'weights/resnet20.npz')}",
            f"--out_dir={tmp_path}",
            "--nb_epochs=0",
        ]
    )
    assert found["top1_before"] > 0.9
    assert found["kb_after"] < 0.62 * found["kb_before"]


def test_torch_resnet20(tmp_path):
    """A network of PyTorch: channels cut, then int8, on 500 images of CIFAR-10."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    weights = needed(data_file, "weights/resnet20-12fca82f.th")
    data = needed(data_file, "cifar10/cifar10_sample.npz")
    status = main.run([
        f"--model={ROOT}/examples/torch_resnet20.py:resnet20", f"--weights={weights}",
        "--input_shape=-1,3,32,32", f"--data={data}", "--learner=chn-pruned-rmt,uniform-tf",
        "--budget=flops:0.6", "--nb_epochs=0.2,0.2", "--tflite=int8", f"--out_dir={tmp_path}",
        *QUICK,
    ])  # fmt: skip
    assert status == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["before"]["top1"] > 0.9  # the scale of the images was found
    assert report["after"]["flops"] <= 0.6 * report["before"]["flops"]
    assert (tmp_path / "model_int8.tflite").stat().st_size < 320_000
