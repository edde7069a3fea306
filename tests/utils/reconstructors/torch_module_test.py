"""The module as its user has it: a file and weights, in a process that knows no Flowpress."""

import subprocess
import sys

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from utils.graph import from_keras  # noqa: E402
from utils.reconstructors.torch_module import torch_module  # noqa: E402

USE = """
import sys, numpy as np, torch
sys.path.insert(0, ".")
import net
network = net.load("net.pth")
images = torch.from_numpy(np.load("images.npy"))
np.save("made.npy", network(images).detach().numpy())
network.train()
before = [weight.detach().clone() for weight in network.parameters()]
steps = torch.optim.SGD(network.parameters(), 0.1)
network(images).square().mean().backward()
steps.step()
assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters()))
assert not any(name.split(".")[0] in ("keras", "tensorflow", "utils") for name in sys.modules)
"""


def test_it_runs_and_trains_without_flowpress(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.1)(keras.layers.Activation("tanh")(x))
    model = keras.Model(inputs, keras.layers.Dense(5, name="head")(keras.layers.Flatten()(x)))
    source, weights = torch_module(from_keras(model))
    (tmp_path / "net.py").write_text(source)
    (tmp_path / "net.pth").write_bytes(weights)
    images = np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype("float32")
    np.save(tmp_path / "images.npy", images.transpose(0, 3, 1, 2).copy())
    (tmp_path / "use.py").write_text(USE)
    environment = {"PATH": "", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "use.py"], cwd=tmp_path, env=environment, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "made.npy"), model(images), atol=1e-5)
    assert {*torch.load(tmp_path / "net.pth", weights_only=True)} >= {"conv.weight", "head.bias"}
