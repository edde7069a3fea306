import pathlib
import pickle

import pytest

from utils.errors import InputError

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")

from utils.frontends.torch import module as reading  # noqa: E402

NETS = pathlib.Path(__file__).with_name("user_nets.py")


class Foreign:
    def __reduce__(self):
        return (print, ("code has run",))


def test_a_pickled_module_is_refused_with_what_to_do(tmp_path, capsys):
    path = tmp_path / "net.pth"
    torch.save(torch.nn.Linear(2, 3), path)
    with pytest.raises(InputError, match=r"pickled module.*state_dict\(\)"):
        reading.read_state_dict(path)
    path.write_bytes(pickle.dumps(Foreign()))
    with pytest.raises(InputError, match=r"net\.pth"):
        reading.read_state_dict(path)
    assert "code has run" not in capsys.readouterr().out


def test_damaged_and_foreign_weights_are_refused(tmp_path):
    module = reading.load_module(f"{NETS}:Everything")
    path = tmp_path / "net.pth"
    torch.save(module.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        reading.load_weights(module, path)
    with pytest.raises(InputError, match="no such file"):
        reading.load_weights(module, tmp_path / "missing.pth")
    for state, what in (
        ({"head.bias": torch.zeros(5)}, "lacks: stem"),
        ({**module.state_dict(), "more": torch.zeros(1)}, "has not: more"),
        ({**module.state_dict(), "head.bias": torch.zeros(6)}, r"other shapes: head\.bias"),
    ):
        torch.save(state, path)
        with pytest.raises(InputError, match=what):
            reading.load_weights(module, path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="no state dict"):
        reading.load_weights(module, path)


def test_a_file_whose_entries_have_damaged_names_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"weight": torch.zeros(2)}, path)
    path.write_bytes(path.read_bytes().replace(b"net/data.pkl", b"net/\x8bata.pkl", 1))
    with pytest.raises(InputError, match="has another name there"):
        reading.read_state_dict(path)


def test_prefixes_and_outer_dicts_are_taken_off(tmp_path):
    module = reading.load_module(f"{NETS}:Everything")
    path = tmp_path / "net.pth"
    own = module.state_dict()
    state = {f"module.{name}": torch.full_like(value, 3) for name, value in own.items()}
    torch.save({"state_dict": state, "epoch": 3}, path)
    reading.load_weights(module, path)
    assert own and all(bool((value == 3).all()) for value in module.state_dict().values())
