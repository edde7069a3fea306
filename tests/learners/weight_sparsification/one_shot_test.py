import keras
import numpy as np
import pytest

from learners.kernels.layers import kernel_layers
from learners.reconstruction.sampling import Sampler
from learners.sparsity.masks import ELEMENT, make_mask
from learners.weight_sparsification import one_shot
from learners.weight_sparsification.one_shot import OneShot
from tests.learners import networks
from utils.graph import from_keras, to_keras


def run(model, names, ratio, on_layer=lambda *args: None):
    graph = from_keras(model)
    layers = {la.name: la for la in kernel_layers(graph) if la.name in names}
    counts = {name: la.size - round(ratio * la.size) for name, la in layers.items()}
    images = networks.images()
    sampler = Sampler([images[:24], images[24:]], num_images=48, num_positions=16, seed=0)
    work = OneShot(graph, layers, counts, sampler, ELEMENT, on_layer=on_layer)
    return graph, layers, counts, work, work.run()


def difference(graph, other):
    images = networks.images()
    before, after = (np.asarray(to_keras(g)(images)) for g in (graph, other))
    return float(np.sum((after - before) ** 2) / np.sum((before - before.mean(axis=0)) ** 2))


def test_counts_are_met_and_the_outputs_nearer_than_by_magnitude():
    names = ("a2", "b1", "b2", "head")
    graph, layers, counts, work, found = run(networks.residual(), names, 0.6)
    params = {la: dict(arrays) for la, arrays in graph.params.items()}
    for name, layer in layers.items():
        kernel = layer.matrix(found.params)
        assert np.count_nonzero(kernel) == counts[name]
        plain = layer.matrix(graph.params)
        for (owner, weight), array in layer.tensors(
            plain * make_mask(np.abs(plain), counts[name])
        ).items():
            params[owner][weight] = array
    assert difference(graph, found) < 0.5 * difference(graph, graph.replace(params=params))
    assert set(work.errors) >= set(names)
    np.testing.assert_array_equal(found.params["stem"]["kernel"], graph.params["stem"]["kernel"])


def test_layers_behind_make_up_and_those_in_front_stay():
    graph, _, _, work, found = run(networks.vgg(), ("conv2",), 0.5)
    assert set(work.errors) == {"conv2", "conv3", "fc1", "fc2"}
    assert not np.array_equal(found.params["fc1"]["kernel"], graph.params["fc1"]["kernel"])
    np.testing.assert_array_equal(found.params["conv1"]["kernel"], graph.params["conv1"]["kernel"])


def test_what_cannot_be_sampled_loses_its_smallest(monkeypatch):
    monkeypatch.setattr(one_shot, "MAX_ROWS", 60)
    done = []
    graph, layers, counts, work, found = run(
        networks.vgg(), ("conv3", "fc1"), 0.5, lambda *args: done.append(args[:2])
    )
    assert work.unsampled == ["conv3"]
    kernel, before = (layers["conv3"].matrix(g.params) for g in (found, graph))
    np.testing.assert_array_equal(kernel, before * make_mask(np.abs(before), counts["conv3"]))
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_both_kernels_of_a_recurrent_layer_are_thinned():
    inputs = keras.Input((6, 4))
    x = keras.layers.LSTM(5, name="lstm")(inputs)
    model = networks.randomised(keras.Model(inputs, keras.layers.Dense(3, name="fc")(x)))
    graph = from_keras(model)
    layers = {la.name: la for la in kernel_layers(graph)}
    counts = {name: la.size // 2 for name, la in layers.items()}
    images = networks.images(shape=(6, 4))
    sampler = Sampler([images], num_images=48, num_positions=6, seed=0)
    work = OneShot(graph, layers, counts, sampler, ELEMENT)
    found = work.run()
    assert work.unsampled == ["lstm/recurrent_kernel"]
    for name, layer in layers.items():
        assert np.count_nonzero(layer.matrix(found.params)) == counts[name]
    assert work.errors["lstm/kernel"] == pytest.approx(0.0, abs=0.8)
