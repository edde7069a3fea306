import keras
import numpy as np
import pytest

from learners.kernels import tables
from learners.kernels.layers import kernel_layers
from learners.kernels.tables import KernelTables, Moments, lookup
from learners.reconstruction.sampling import Sampler
from tests.learners import networks
from utils.graph import from_keras, to_keras


class Coarse:
    """Rounds kernels: a choice is the number of steps to one."""

    def __init__(self):
        self.sampled = {}

    def choices(self, layer, kernel):
        return (1, 4, 1000) if layer.num_rows > 8 else (2, 1000)

    def versions(self, layer, kernel, moments):
        self.sampled[layer.name] = moments
        for choice in self.choices(layer, kernel)[:-1]:
            yield choice, np.round(kernel.astype(np.float64) * choice) / choice


def make_tables(model, **options):
    graph = from_keras(model)
    method = Coarse()
    images = networks.images()
    sampler = Sampler([images[:24], images[24:]], num_images=48, num_positions=16, seed=0)
    layers = kernel_layers(graph)
    return graph, layers, method, KernelTables(graph, layers, sampler, method, **options)


@pytest.fixture(scope="module")
def residual():
    return make_tables(networks.residual())


def original(graph):
    return {(la, n): a for la, arrays in graph.params.items() for n, a in arrays.items()}


def test_the_last_choice_leaves_the_network_as_it_is(residual):
    graph, layers, _, found = residual
    before = original(graph)
    for key, array in lookup(found, {la.name: 1000 for la in layers}, before).items():
        np.testing.assert_array_equal(array, before[key])
    assert all(found.errors(la.name)[-1] == 0 for la in layers)


@pytest.mark.parametrize("name", ["a2", "head"])
def test_an_error_is_that_of_the_layer_outputs_with_its_offset(residual, name):
    graph, layers, _, found = residual
    layer = next(la for la in layers if la.name == name)
    changed = lookup(found, {name: found.choices[name][0]}, original(graph))
    params = {la: dict(arrays) for la, arrays in graph.params.items()}
    for (owner, weight), array in changed.items():
        params[owner][weight] = array
    end = "a2_bn" if name == "a2" else "head"
    outputs = []
    for network in (graph, graph.replace(params=params)):
        model = to_keras(network)
        part = keras.Model(model.inputs, model.get_layer(end).output)
        if name == "a2":  # in the same input: of the layers in front none is changed
            assert set(changed) == {("a2", "kernel"), ("a2_bn", "moving_mean")}
        outputs.append(np.asarray(part(networks.images())).reshape(-1, layer.num_outputs))
    before, after = outputs
    centred = before - before.mean(axis=0)
    wrong = np.sum((after - before) ** 2) / np.sum(centred**2)
    # The table saw 16 random positions of 64 (the head all).
    assert found.errors(name)[0] == pytest.approx(wrong, rel=1e-3 if name == "head" else 0.15)


def test_layers_that_cannot_be_sampled_go_by_their_weights():
    graph, layers, method, found = make_tables(networks.depthwise())
    assert found.unsampled == ["depth1", "depth2"]
    assert method.sampled["depth1"] is None
    kernel = graph.params["depth1"]["kernel"]
    wrong = np.sum((np.round(kernel) - kernel) ** 2) / np.sum(kernel**2)
    assert found.errors("depth1")[0] == pytest.approx(wrong, rel=1e-5)
    ((key, array),) = found.weights("depth1", 1, lambda *key: None).items()
    assert key == ("depth1", "kernel")
    np.testing.assert_array_equal(array, np.round(kernel))


def test_few_at_a_time_and_kernels_on_disk_give_the_same(monkeypatch):
    graph, layers, _, found = make_tables(networks.vgg())
    monkeypatch.setattr(tables, "MAX_MOMENT_BYTES", 1)
    monkeypatch.setattr(tables, "MAX_KEPT_BYTES", 2000)
    done = []
    others = make_tables(networks.vgg(), on_layer=lambda *args: done.append(args))[3]
    assert done == [(n, len(layers), la.name) for n, la in enumerate(layers, start=1)]
    for layer in layers:
        np.testing.assert_allclose(others.errors(layer.name), found.errors(layer.name))
        own = lookup(others, {layer.name: 1000 if layer.num_rows < 9 else 4}, original(graph))
        first = lookup(found, {layer.name: 1000 if layer.num_rows < 9 else 4}, original(graph))
        for key, array in own.items():
            np.testing.assert_allclose(array, first[key], rtol=1e-6)


def test_layers_of_too_many_inputs_are_not_sampled(monkeypatch):
    monkeypatch.setattr(tables, "MAX_ROWS", 50)
    _, _, _, found = make_tables(networks.vgg())
    assert found.unsampled == ["conv2", "conv3"]


def test_a_method_may_change_the_layer_at_its_last_choice_too():
    class Always(Coarse):
        def versions(self, layer, kernel, moments):
            yield from super().versions(layer, kernel, moments)
            yield 1000, 2.0 * kernel.astype(np.float64)

    graph = from_keras(networks.vgg())
    images = networks.images()
    sampler = Sampler([images], num_images=48, num_positions=4, seed=0)
    found = KernelTables(graph, kernel_layers(graph), sampler, Always())
    changed = lookup(found, {"conv2": 1000}, original(graph))
    kernel = changed["conv2", "kernel"]
    np.testing.assert_allclose(kernel, 2 * graph.params["conv2"]["kernel"])
    assert found.errors("conv2")[-1] == pytest.approx(1.0)


def test_around_a_candidate_each_layer_makes_up_for_those_in_front():
    class Refitted(Coarse):
        def versions(self, layer, kernel, moments):
            self.sampled[layer.name] = moments
            rows = np.arange(layer.num_rows)
            for choice in self.choices(layer, kernel):  # on fewer and fewer rows
                own = rows[: layer.num_rows * (2 if choice == 1000 else 1) // 2]
                version = np.zeros(kernel.shape)
                gram = moments.gram[np.ix_(own, own)] + 1e-3 * np.eye(own.size)
                version[own] = np.linalg.solve(gram, moments.cross[own])
                yield choice, version

    graph = from_keras(networks.vgg())
    layers = [la for la in kernel_layers(graph) if la.name in ("conv2", "fc1", "fc2")]
    images = networks.images()
    sampler = Sampler([images], num_images=48, num_positions=16, seed=0)
    method = Refitted()
    around = {"conv2": 1, "fc1": 4, "fc2": 1000}
    found = KernelTables(graph, layers, sampler, method, around=around)
    changed = lookup(found, around, original(graph))
    params = {la: dict(arrays) for la, arrays in graph.params.items()}
    for (owner, weight), array in changed.items():
        params[owner][weight] = array
    # What fc2 was sampled on is the network of the candidate, and its target the one before.
    rows, wanted = (
        np.asarray(part(images))
        for part in (
            keras.Model(model.inputs, model.get_layer(name).output)
            for model, name in (
                (to_keras(graph.replace(params=params)), "fc1"),
                (to_keras(graph), "fc2"),
            )
        )
    )
    centred = rows - rows.mean(axis=0)
    np.testing.assert_allclose(
        method.sampled["fc2"].gram, centred.T @ centred, rtol=1e-3, atol=1e-2
    )
    wanted = wanted - wanted.mean(axis=0)
    np.testing.assert_allclose(
        method.sampled["fc2"].cross, centred.T @ wanted, rtol=1e-3, atol=1e-2
    )
    assert found.errors("conv2")[0] > 0 == found.errors("conv2")[-1]


def test_moments_weigh_outputs():
    x, kernel = np.random.default_rng(0).normal(size=(2, 20, 3))
    kernel, y = kernel[:3, :2], np.random.default_rng(1).normal(size=(20, 2))
    moments = Moments(x.T @ x, x.T @ y, np.array([1.0, 2.0]), float(np.sum((y * [1.0, 2.0]) ** 2)))
    wrong = np.sum(((x @ kernel - y) * [1.0, 2.0]) ** 2)
    assert moments.error(kernel) == pytest.approx(wrong / moments.energy)
