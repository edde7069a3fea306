import ast

import keras
import pytest

from tests.utils.reconstructors.sources import written
from utils.graph import from_keras
from utils.reconstructors import torch_source
from utils.reconstructors.ops import REFUSED, TABLE
from utils.reconstructors.rebuilding import Rebuilding, RefusedError
from utils.reconstructors.torch_steps import TorchTarget


def test_names_of_modules_do_not_hide_those_of_pytorch():
    inputs = keras.Input((4,), name="self")
    x = keras.layers.Dense(3, name="train")(inputs)
    x = keras.layers.Dense(3, name="forward")(x)
    lines, setup, state = written(keras.Model(inputs, x))
    assert "self.train_1 = nn.Linear(4, 3)" in setup
    assert {name.split(".")[0] for name in state} == {"train_1", "forward_1"}
    assert lines[0] == "x = self.train_1(self_1)"


def test_the_names_of_modules_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    own = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    assert own <= torch_source.OF_MODULES


def test_hostile_names_stay_names():
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(3, name="a")(inputs))
    graph = from_keras(model)
    evil = '"""\nimport os\nos.system("x")\n"""'
    graph = graph.replace(name=evil, output_structure={evil: graph.output_structure})
    target = TorchTarget()
    Rebuilding(graph, target).run(TABLE, REFUSED, last=False)
    tree = ast.parse(target.source(graph.name, graph.output_structure))
    imported = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {alias.name for node in imported for alias in node.names} == {
        *("torch", "torch.nn.functional", "nn")
    }


def test_only_the_parts_that_are_needed_are_copied():
    pytest.importorskip("torch")
    inputs = keras.Input((4, 4, 3))
    graph = from_keras(keras.Model(inputs, keras.layers.GaussianNoise(0.1)(inputs)))
    target = TorchTarget()
    Rebuilding(graph, target).run(TABLE, REFUSED, last=False)
    source = target.source("net", graph.output_structure)
    assert "class GaussianNoise" in source and "class Recurrent" not in source
    assert "type: ignore" not in source


def test_types_that_pytorch_lacks_are_refused():
    with pytest.raises(RefusedError, match="computes in string"):
        torch_source.dtype_text("string")
