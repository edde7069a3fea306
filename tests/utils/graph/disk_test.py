"""Saving and loading graphs, and everything that a file may get wrong."""

import json
import os
import struct
import zipfile

import keras
import numpy as np
import pytest
from keras import layers, ops

from utils.errors import InputError
from utils.graph import from_keras, shrink, to_keras
from utils.graph.disk import GRAPH_FILE, PARAMS_FILE, load, save
from utils.graph.law import random_keep


def network():
    inputs = {"a": keras.Input((6, 6, 3), name="a"), "b": keras.Input((6, 6, 3), name="b")}
    conv = layers.Conv2D(4, 3, padding="same", name="conv")
    x = layers.Add(name="add")([conv(inputs["a"]), conv(inputs["b"])])
    x = layers.BatchNormalization(name="norm")(x)
    x = ops.pad(x[:, ::2, ::2, :], ((0, 0), (0, 0), (0, 0), (1, 1)))
    x = layers.Dropout(0.1)(x * np.linspace(0, 1, 6, dtype="float32"))
    x = layers.ReLU(name="relu")(layers.Conv2D(5, 3, name="tail")(x))
    outputs = [layers.Dense(2, name="head")(layers.Flatten()(x)), x]
    return keras.Model(inputs, outputs, name="net")


@pytest.fixture(scope="module")
def graph():
    return from_keras(network())


@pytest.fixture(scope="module")
def saved(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph")
    save(graph, folder)
    return folder


def batch():
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=(2, 6, 6, 3)).astype("float32") for name in "ab"}


def test_round_trip_is_bit_equal(graph, saved):
    loaded = load(saved)
    assert [vars(node)["name"] for node in loaded.nodes] == [node.name for node in graph.nodes]
    assert loaded.node("tail").attrs == graph.node("tail").attrs
    assert loaded.notes == graph.notes and loaded.name == "net"
    for first, second in zip(to_keras(graph)(batch()), to_keras(loaded)(batch()), strict=True):
        np.testing.assert_array_equal(first, second)
    names = [weight.path for weight in to_keras(graph).weights]
    assert [weight.path for weight in to_keras(loaded).weights] == names


def test_shrunk_graph_survives(graph, tmp_path):
    small = shrink(graph, random_keep(graph, 0.5, seed=0))
    save(small, tmp_path / "new" / "folder")
    first, second = to_keras(small), to_keras(load(tmp_path / "new" / "folder"))
    np.testing.assert_array_equal(first(batch())[0], second(batch())[0])


def test_odd_names_and_types(tmp_path):
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="a b", dtype="bfloat16")(inputs)
    x = layers.Dense(3, name="a:b")(layers.Dense(3, name="a_b")(x))
    graph = from_keras(keras.Model(inputs, layers.Dense(2, name="..")(x)))
    save(graph, tmp_path)
    loaded = load(tmp_path)
    assert list(loaded.params) == ["a b", "a_b", "a:b", ".."]
    for layer, arrays in graph.params.items():
        for name, array in arrays.items():
            assert loaded.params[layer][name].dtype == array.dtype
            np.testing.assert_array_equal(loaded.params[layer][name], array)


def test_lambda_needs_leave(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Lambda(lambda x: x + 1.0, name="code")(inputs))
    save(from_keras(model, allow_unsafe=True), tmp_path)
    with pytest.raises(InputError, match=r"graph.json: layer 'code' is a Lambda"):
        load(tmp_path)
    assert len(load(tmp_path, allow_unsafe=True).nodes) == 2


def _entry(content, kind, name):
    return next(entry for entry in content[kind] if entry["name"] == name)


def _set(kind, name, **fields):
    def change(content):
        _entry(content, kind, name).update(fields)

    return change


def _attrs(name, **fields):
    def change(content):
        _entry(content, "layers", name)["attrs"].update(fields)

    return change


def _weight(**fields):
    def change(content):
        _entry(content, "layers", "conv")["weights"][0].update(fields)

    return change


def _top(**fields):
    return lambda content: content.update(fields)


REF = {"$ref": ["relu", 0]}
BAD_GRAPHS = {
    "format": (_top(format="other"), r"is no graph: `format` must be 'flowpress-graph'"),
    "version": (_top(version=99), r"`version` must be 1. Received: 99. Save the graph anew"),
    "no layers": (_top(layers=3), r"layers must be a list of at most 100,000 entries. Received: 3"),
    "no name": (_top(name=""), r"name must be a text of 1 to 1024 characters"),
    "too many": (_top(nodes=[0] * 100_001), r"nodes must be a list of at most 100,000 entries"),
    "layer twice": (
        lambda content: content["layers"].append(content["layers"][-1]),
        r"two layers have the same name",
    ),
    "node twice": (
        lambda content: content["nodes"].append(content["nodes"][-1]),
        r"two nodes are named 'head'",
    ),
    "unused layer": (
        lambda content: content["layers"].append(
            {"name": "idle", "op": "keras.layers.ReLU", "attrs": {}, "weights": []}
        ),
        r"no node calls 'idle'",
    ),
    "unknown layer": (_set("nodes", "add", layer="q"), r"node 'add' calls 'q', which is not among"),
    "cycle": (_set("nodes", "norm", args=[REF]), r"'norm' reads 'relu', which no earlier.*cyclic"),
    "dangling": (
        _set("nodes", "norm", args=[{"$ref": ["q", 0]}]),
        r"'norm' reads 'q', .*dangling reference",
    ),
    "output index": (
        _set("nodes", "norm", args=[{"$ref": ["add", 3]}]),
        r"'norm' reads output 3 of 'add', which has 1",
    ),
    "dangling output": (_top(outputs={"$ref": ["q", 0]}), r"the model reads 'q'"),
    "outputs without refs": (_top(outputs=[1]), r"outputs must be \$ref objects"),
    "args": (_set("nodes", "norm", args=3), r"`args` must be a list and `kwargs` an object"),
    "shapes": (_set("nodes", "norm", shapes=[]), r"`shapes` and `dtypes` must be equally long"),
    "negative size": (_set("nodes", "norm", shapes=[[None, -1]]), r"shape must be sizes from 0 to"),
    "absurd shape": (
        _set("nodes", "norm", shapes=[[None, 1 << 30, 1 << 30]]),
        r"of at most 1,099,511,627,776 elements",
    ),
    "rank": (_set("nodes", "norm", shapes=[[1] * 40]), r"a list of at most 16 sizes"),
    "other shape": (
        _set("nodes", "norm", shapes=[[None, 6, 6, 5]]),
        r"node 'norm': the graph says .*6, 6, 5.*Keras returns .*6, 6, 4",
    ),
    "absurd weight": (_weight(shape=[1 << 20, 1 << 20]), r"declares 4,398,.* bytes of arrays"),
    "other weight": (
        _weight(shape=[3, 3, 3, 5]),
        r"params.npz: unpacks to|array 'conv/0' is float",
    ),
    "weight type": (_weight(dtype="float64"), r"array 'conv/0' is float32.*says float64"),
    "object type": (_weight(dtype="object"), r"dtype must be one of bfloat16, bool, float16"),
    "missing array": (_weight(array="q"), r"holds other arrays than the graph says"),
    "array twice": (_weight(array="tail/0"), r"the array 'tail/0' is used twice"),
    "filters": (_attrs("conv", filters=5), r"the graph says .*Keras returns .*6, 6, 5"),
    "absurd filters": (_attrs("conv", filters=1 << 50), r"graph.json: .*conv"),
    "attrs": (_set("layers", "conv", attrs=[]), r"layer 'conv': attrs must be an object"),
    "attr missing": (
        _attrs("conv", filters=None),
        r"node 'conv': .* cannot be called as the graph says",
    ),
    "unknown attr": (_attrs("relu", colour="red"), r"layer 'relu': .* cannot be built from its at"),
    "unknown class": (_set("layers", "relu", op="keras.layers.Rulo"), r"cannot be built from its"),
    "foreign class": (_set("layers", "relu", op="os.system"), r"`op` must be a class of Keras'"),
    "keras function": (
        _set("layers", "relu", op="keras.utils.get_file"),
        r"`op` must be a class of Keras'.*Received: 'keras.utils.get_file'",
    ),
    "unregistered": (
        _set("layers", "relu", op="mine>Relu"),
        r"class 'mine>Relu' is not registered",
    ),
    "lambda": (_set("layers", "relu", op="keras.layers.Lambda"), r"'relu' is a Lambda: it runs"),
    "hidden lambda": (
        _attrs("relu", x=[{"class_name": "__lambda__", "config": {"value": "4wAA"}}]),
        r"'relu' is a Lambda: it runs",
    ),
    "saved model": (
        _attrs("relu", x={"class_name": "TFSMLayer", "config": {"filepath": "/tmp"}}),
        r"'relu' is a TFSMLayer",
    ),
    "function elsewhere": (
        _attrs("conv", activation={"module": "os", "class_name": "function", "config": "system"}),
        r"layer 'conv': .* cannot be built from its attrs",
    ),
    "called wrongly": (
        _set("nodes", "norm", kwargs={"nonsense": 1}),
        r"node 'norm': keras.layers.BatchNormalization cannot be called as the graph says",
    ),
    "notes": (_top(notes=[["a"]]), r"notes must be lists of three texts"),
    "constants": (_top(constants=[]), r"constants must be an object"),
}


@pytest.mark.parametrize("case", BAD_GRAPHS)
def test_refuses_bad_graphs(case, saved, tmp_path):
    change, message = BAD_GRAPHS[case]
    content = json.loads((saved / GRAPH_FILE).read_text())
    change(content)
    (tmp_path / GRAPH_FILE).write_text(json.dumps(content))
    (tmp_path / PARAMS_FILE).write_bytes((saved / PARAMS_FILE).read_bytes())
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"graph.json: is not JSON"),
        ("{", r"graph.json: is not JSON"),
        ("[" * 100_000, r"graph.json: is not JSON"),
        ('{"version": NaN}', r"NaN is no JSON number"),
        ('{"name": 1, "name": 2}', r"is not JSON \(an object has the name 'name' twice\)"),
        ("9" * 5000, r"graph.json: is not JSON"),
        ("[]", r"is no graph"),
        (b"\xff\xfe\x00", r"graph.json, line 1: begins with the byte order mark of UTF-16"),
    ],
)
def test_refuses_bad_json(text, message, tmp_path):
    (tmp_path / GRAPH_FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_refuses_huge_json_before_reading_it(tmp_path):
    with (tmp_path / GRAPH_FILE).open("wb") as stream:
        os.truncate(stream.fileno(), 1 << 40)
    with pytest.raises(InputError, match=r"is larger than 67,108,864 bytes, the most"):
        load(tmp_path)


def test_refuses_missing_files(saved, tmp_path):
    with pytest.raises(InputError, match=r"graph.json: no such file. Give the folder"):
        load(tmp_path)
    (tmp_path / GRAPH_FILE).write_bytes((saved / GRAPH_FILE).read_bytes())
    with pytest.raises(InputError, match=r"params.npz: no such file"):
        load(tmp_path)


def _truncated(source, target):
    target.write_bytes(source.read_bytes()[:-200])


def _bomb(source, target):
    """The right names, with one array that unpacks to gigabytes."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, b"\0" * (1 << 28) if name == "conv/0.npy" else old.read(name))


def _pickled(source, target):
    with np.load(source) as arrays:
        changed = {**arrays, "conv/0": np.array([{"a": 1}], dtype=object)}
    np.savez(target, **changed)


def _lying_header(source, target):
    """The header of one array declares more than there is."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "conv/0.npy":
                length = struct.unpack("<H", data[8:10])[0]
                header = data[10 : 10 + length].replace(b"(3, 3, 3, 4)", b"(3, 3, 3,44)")
                data = data[:10] + header + data[10 + length :]
            new.writestr(name, data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncated, r"params.npz: is truncated or damaged"),
        (_bomb, r"params.npz: (unpacks to|entry .* unpacks)"),
        (_pickled, r"params.npz: (array .* pickled objects|unpacks to)"),
        (_lying_header, r"params.npz: array 'conv/0.npy' declares"),
        (lambda source, target: target.write_bytes(b"no zip"), r"params.npz: is not a .npz file"),
    ],
)
def test_refuses_bad_arrays(damage, message, saved, tmp_path):
    (tmp_path / GRAPH_FILE).write_bytes((saved / GRAPH_FILE).read_bytes())
    damage(saved / PARAMS_FILE, tmp_path / PARAMS_FILE)
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_unwritable_folder(graph, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write"):
        save(graph, tmp_path / "file" / "graph")
