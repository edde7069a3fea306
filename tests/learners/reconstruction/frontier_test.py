"""Passes that begin at a waist compute what whole passes do."""

import keras
import numpy as np
import pytest

from learners.reconstruction import frontier
from utils.graph import Ref, from_keras, to_keras_with_tensors


@pytest.fixture
def network():
    x = keras.Input((6, 6, 2), name="images")
    stem = keras.layers.Conv2D(3, 3, padding="same", name="stem")(x)
    y = keras.layers.Conv2D(3, 3, padding="same", name="branch")(stem)
    total = keras.layers.Add(name="total")([stem, y])
    graph = from_keras(keras.Model(x, keras.layers.Dense(2, name="head")(total)))
    images = [np.random.default_rng(i).normal(size=(4, 6, 6, 2)).astype("f") for i in range(3)]
    return graph, images


def test_waists_are_where_one_tensor_is_left(network):
    graph, _ = network
    found = frontier.waists(graph)
    assert found["stem"] == Ref("images")
    assert found["branch"] == Ref("stem")
    assert found["total"] == Ref("stem")  # inside the block two tensors live
    assert found["head"] == Ref("total")


@pytest.mark.parametrize("limit", [0, 2**20])
def test_same_outputs_wherever_passes_begin(network, monkeypatch, limit):
    graph, images = network
    monkeypatch.setattr(frontier, "MAX_KEPT_BYTES", limit)
    model, tensors = to_keras_with_tensors(graph)
    walk = frontier.Frontier(graph, model, tensors, images, num_images=12)
    for node in ("branch", "head"):
        walk.advance(node)
        refs = [graph.node(node).inputs[0], Ref("head")]
        part = walk.submodel(refs)
        for batch, image in zip(walk, images, strict=True):
            first, last = part(batch)
            whole = keras.Model(model.inputs, [tensors[ref] for ref in refs])(image)
            np.testing.assert_allclose(first, whole[0], atol=1e-6)
            np.testing.assert_allclose(last, whole[1], atol=1e-6)


def test_a_tensor_may_be_asked_for_twice(network):
    graph, images = network
    model, tensors = to_keras_with_tensors(graph)
    walk = frontier.Frontier(graph, model, tensors, images, num_images=12)
    walk.advance("head")
    batch = next(iter(walk))
    refs = [Ref("head"), Ref("total"), Ref("head"), Ref("total")]
    first, at, second, again = walk.submodel(refs)(batch)
    np.testing.assert_array_equal(first, model(images[0]))
    np.testing.assert_array_equal(first, second)
    assert at is again is batch


def test_later_passes_see_weights_that_changed_behind_the_frontier(network):
    graph, images = network
    model, tensors = to_keras_with_tensors(graph)
    walk = frontier.Frontier(graph, model, tensors, images, num_images=12)
    walk.advance("head")
    head = model.get_layer("head")
    head.kernel.assign(np.zeros(head.kernel.shape))
    head.bias.assign([1.0, 2.0])
    for batch in walk:
        (outputs,) = walk.submodel([Ref("head")])(batch)
        np.testing.assert_allclose(np.asarray(outputs)[0, 0, 0], [1.0, 2.0])
