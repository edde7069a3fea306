"""Layers put behind tensors: only the named readers read through them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from utils.graph import Ref, from_keras, to_keras
from utils.graph.insertion import Insertion, insert
from utils.graph.keras_io import build, read


def _model() -> keras.Model:
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, name="a")(inputs)
    outputs = keras.layers.Add(name="sum")(
        [keras.layers.Dense(4, name="b")(x), keras.layers.Dense(4, name="c")(x), x]
    )
    return keras.Model(inputs, outputs)


def _halving(readers: list[str], name: str = "half") -> Insertion:
    attrs = {"scale": 0.5, "offset": 0.0}
    return Insertion(
        source=Ref("a"),
        readers=readers,
        name=name,
        op="keras.layers.Rescaling",
        attrs=attrs,
        params={},
    )


def test_only_the_named_readers_read_through_it() -> None:
    model = _model()
    graph, names = insert(from_keras(model), [_halving(["b"])])
    assert names == ["half"]
    values = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    a, b, c = (model.get_layer(name) for name in "abc")
    wanted = b(0.5 * a(values)) + c(a(values)) + a(values)
    np.testing.assert_allclose(to_keras(graph)(values), wanted, rtol=1e-5)


def test_a_taken_name_is_changed() -> None:
    graph, names = insert(from_keras(_model()), [_halving(["b"], "c"), _halving(["c"], "c")])
    assert len({"a", "b", "c", *names}) == 5
    to_keras(graph)


def test_a_network_around_shared_layers_has_their_variables() -> None:
    model = _model()
    plain, operations = read(model)
    wrapped = build(insert(plain, [_halving(["b", "c"])])[0], shared=operations)[0]
    assert {id(v) for v in wrapped.variables} == {id(v) for v in model.variables}
    values = np.ones((2, 3), np.float32)
    before = np.asarray(wrapped(values))
    model.get_layer("b").kernel.assign(0 * model.get_layer("b").kernel)
    assert not np.array_equal(before, wrapped(values))


def test_refuses_who_does_not_read_it() -> None:
    with pytest.raises(ValueError, match="'c' does not read"):
        insert(from_keras(_model()), [Insertion(
            source=Ref("b"), readers=["c"], name="h", op="keras.layers.ReLU", attrs={}, params={}
        )])  # fmt: skip


def test_one_layer_stands_behind_several_tensors_and_behind_outputs() -> None:
    model = _model()
    both = Insertion(
        source=Ref("b"),
        readers=["sum"],
        also=[(Ref("sum"), [])],
        outputs=True,
        name="half",
        op="keras.layers.Rescaling",
        attrs={"scale": 0.5, "offset": 0.0},
        params={},
    )
    graph, names = insert(from_keras(model), [both])
    assert names == ["half"] and [node.name for node in graph.calls("half")] == ["half", "half#1"]
    values = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    a, b, c = (model.get_layer(name) for name in "abc")
    x = a(values)
    np.testing.assert_allclose(to_keras(graph)(values), 0.5 * (0.5 * b(x) + c(x) + x), rtol=1e-5)
