import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.graph import from_keras
from utils.quantization.fake_quant import FakeQuant
from utils.reconstructors import targets


@pytest.fixture(scope="module")
def graph():
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((6, 6, 3), name="z"), keras.Input((4,), name="a")]
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs[0])
    y = keras.layers.Dense(4, name="dense")(inputs[1])
    x = keras.layers.Add()([x, keras.layers.Reshape((1, 1, 4))(y)])
    return from_keras(keras.Model(inputs, {"maps": x, "row": y}, name="two"))


@pytest.mark.parametrize("kind", targets.TARGETS)
def test_every_target_computes_the_graph(kind, graph, tmp_path):
    for name, package in (("torch", "torch"), ("onnx", "onnxruntime")):
        if kind == name:
            pytest.importorskip(package)
    ending = targets.TARGETS[kind].ending
    rebuilt = targets.rebuild(graph, kind, tmp_path / "in" / f"net{ending}")
    assert rebuilt.distance < 1e-5
    wanted = {f"net{ending}", *(["net.pth"] if kind == "torch" else [])}
    assert {path.name for path in (tmp_path / "in").iterdir()} == wanted
    again = targets.rebuild(graph, kind, tmp_path / "in" / f"net{ending}")  # in its place
    assert again.files == rebuilt.files


def test_nothing_is_written_beyond_the_tolerance(graph, tmp_path):
    result = targets.keras_run(targets.to_keras(graph))(targets.random_inputs(graph))
    off = [each + 0.1 for each in result]
    with pytest.raises(InputError, match=r"at a distance of .* from the given result"):
        targets.rebuild(graph, "keras", tmp_path / "net.keras", result=off)
    assert not list(tmp_path.iterdir())
    rebuilt = targets.rebuild(graph, "keras", None, result=off, tolerance=1.0)
    assert rebuilt.files == () and 0.001 < rebuilt.to_result < 1.0


@pytest.mark.parametrize("kind", ["saved_model", "keras"])
def test_folders_that_hold_other_things_are_left_alone(kind, graph, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is a folder that holds other things"):
        targets.rebuild(graph, kind, folder)
    monkeypatch.chdir(folder)
    for path in (".", "..", "/"):
        with pytest.raises(InputError, match="is a folder that holds other things"):
            targets.rebuild(graph, kind, path)
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_keras_files_hold_no_class_of_ours(tmp_path):
    inputs = keras.Input((4,))
    graph = from_keras(keras.Model(inputs, FakeQuant(name="range")(inputs)))
    with pytest.raises(InputError, match="classes that only Flowpress has: 'range'"):
        targets.rebuild(graph, "keras", tmp_path / "net.keras")
    assert not list(tmp_path.iterdir())


def test_distance():
    assert targets.distance([np.array([1.0, 2.0])], [np.array([1.0, 4.0])]) == 0.5
    assert targets.distance([np.ones(2)], [np.ones(3)]) == float("inf")
    assert targets.distance([np.array([np.nan])], [np.array([1.0])]) == float("inf")


def test_inputs_for_the_check_fit_the_network():
    inputs = [keras.Input((None, 3)), keras.Input((4,), dtype="int32")]
    x = keras.layers.Embedding(3, 2)(inputs[1])
    graph = from_keras(keras.Model(inputs, [inputs[0], x]))
    floats, whole = targets.random_inputs(graph, seed=1)
    assert floats.shape == (2, 8, 3) and floats.dtype == np.float32
    assert whole.dtype == np.int32 and whole.min() >= 0 and whole.max() < 3
