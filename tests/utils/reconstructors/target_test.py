import numpy as np

from utils.reconstructors.onnx_steps import OnnxTarget
from utils.reconstructors.target import Cell, Target
from utils.reconstructors.torch_steps import TorchTarget


def test_both_targets_know_every_step():
    steps = {name for name in vars(Target) if not name.startswith("_")}
    for target in (TorchTarget, OnnxTarget):
        assert steps <= {*dir(target)}


def test_a_cell_knows_its_units():
    cell = Cell(
        kind="lstm",
        kernel=np.zeros((4, 12)),
        recurrent=np.zeros((3, 12)),
        bias=None,
        activation="tanh",
        gate="sigmoid",
    )
    assert cell.units == 3
