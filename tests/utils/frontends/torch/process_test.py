"""The process around a PyTorch module: what it gives back, and how its end is told."""

import pathlib
import traceback

import numpy as np
import pytest

from utils.errors import InputError
from utils.frontends import running
from utils.frontends.torch.process import TorchProcess

pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")

NETS = pathlib.Path(__file__).with_name("user_nets.py")


def test_a_batch_is_run_there(tmp_path):
    import torch

    from utils.frontends.torch.module import load_module

    module = load_module(f"{NETS}:Everything")
    torch.save(module.state_dict(), tmp_path / "net.pth")
    run = running.source_run("torch", f"{NETS}:Everything", weights=str(tmp_path / "net.pth"))
    x = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x))
    made = run({"x": x})
    assert list(made) == ["output_0", "output_1", "output_2"]
    for ours, theirs in zip(made.values(), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_what_the_user_prints_is_no_answer():
    with TorchProcess(f"{NETS}:Small") as process:
        assert process.run({"x": np.zeros((2, 3, 8, 8), np.float32)})["output_0"].shape == (2, 3)


def test_what_the_module_raises_is_told_in_a_line_with_its_traceback_behind():
    with TorchProcess(f"{NETS}:CannotRun") as process:
        with pytest.raises(InputError, match=r"not today.*user_nets\.py, line \d+") as caught:
            process.run({"x": np.zeros(1, np.float32)})
        assert "\n" not in str(caught.value)
        assert 'raise RuntimeError("not today")' in "".join(
            traceback.format_exception(caught.value)
        )


def test_a_process_that_crashes_or_leaves():
    with TorchProcess(f"{NETS}:Crashes") as process:
        for _ in range(2):  # it stays gone
            with pytest.raises(InputError, match=r"Crashes: PyTorch's process crashed \(SIGSEGV\)"):
                process.run({"x": np.zeros(1, np.float32)})
    with pytest.raises(InputError, match=r"leave: PyTorch's process ended \(status 3"):
        TorchProcess(f"{NETS}:leave")


def test_what_is_no_python_file_starts_nothing(monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(InputError, match="Python file that makes them"):
        TorchProcess("weights.th")


def test_the_users_working_folder_is_the_processs(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(
        "import pathlib\n"
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Linear(2, int(pathlib.Path('sizes.txt').read_text()))\n"
    )
    (tmp_path / "sizes.txt").write_text("5")
    monkeypatch.chdir(tmp_path)
    with TorchProcess("net.py:net") as process:
        assert process.run({"x": np.zeros((1, 2), np.float32)})["output_0"].shape == (1, 5)
