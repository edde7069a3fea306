"""What folding does to limits and latent values: the integers stay."""

import dataclasses

import numpy as np
import pytest

from learners.uniform_quantization_tf.network import (
    IntegerNetwork,
    limit_of_each,
    num_levels,
    plan_of,
    scaling,
    trained_weights,
    weight_grid,
)
from tests.learners.networks import images
from tests.utils.graph.mobile import mobile
from utils.graph import from_keras, to_keras
from utils.graph.integer_form import integer_form
from utils.graph.law import relative_error
from utils.quantization.fake_quant_graph import weight_limit, without_quantizers
from utils.quantization.grid import rounded


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    """A network with norms of both signs, kernels on grids of 4 bits."""
    model = mobile()
    for weight in model.weights:
        if weight.name == "gamma":
            weight.assign(np.where(np.arange(weight.shape[0]) % 2, -1, 1) * np.asarray(weight))
    graph = integer_form(from_keras(model))
    plan = plan_of(graph)
    params = {layer: dict(arrays) for layer, arrays in graph.params.items()}
    bits, limits, latents = {}, {}, {}
    for place in trained_weights(graph, plan):
        key = (place.layer, place.weight)
        latents[key] = kernel = params[place.layer][place.weight]
        bits[key], limits[key] = 4, 0.8 * weight_limit(kernel, place.axes)
        scales = limit_of_each(limits[key], kernel, place.axes) / num_levels(4)
        on_grid = rounded(kernel, scales, np.float32(8), weight_grid(4))
        params[place.layer][place.weight] = on_grid.astype(np.float32)
    ranges = tuple(place.fixed or (-4.0, 4.0) for place in plan.activations)
    return IntegerNetwork(
        graph=graph.replace(params=params),
        plan=plan,
        ranges=ranges,
        bits=bits,
        limits=limits,
        latents=latents,
    )


def integers(network: IntegerNetwork, key: tuple[str, str]) -> np.ndarray:
    place = next(p for p in network.plan.weights if (p.layer, p.weight) == key)
    kernel = network.graph.params[key[0]][key[1]]
    scales = limit_of_each(network.limits[key], kernel, place.axes) / num_levels(network.bits[key])
    steps = kernel / scales
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    return np.round(steps)


def test_integers_stay_but_for_the_sign_of_the_norm(network: IntegerNetwork) -> None:
    folded = network.folded()
    for key in network.bits:
        before, after = integers(network, key), integers(folded, key)
        np.testing.assert_array_equal(np.abs(before), np.abs(after))
    signs = integers(network, ("stem", "kernel")) * integers(folded, ("stem", "kernel"))
    assert (signs < 0).any() and (signs > 0).any()


def test_latent_values_are_folded_as_weights_are(network: IntegerNetwork) -> None:
    params = {layer: dict(arrays) for layer, arrays in network.graph.params.items()}
    for (layer, weight), latent in network.latents.items():
        params[layer][weight] = latent
    float_network = dataclasses.replace(network, graph=network.graph.replace(params=params))
    expected = float_network.folded().graph.params
    for (layer, weight), latent in network.folded().latents.items():
        np.testing.assert_allclose(latent, expected[layer][weight], rtol=1e-6)


def test_norms_that_become_kernels_lie_on_their_grids(network: IntegerNetwork) -> None:
    folded = network.folded()
    key = ("alone", "kernel")
    assert key not in network.bits and folded.bits[key] == 8
    assert set(np.abs(integers(folded, key)).ravel()) == {127}


def test_the_deployed_network_rounds_no_weight_anew(network: IntegerNetwork) -> None:
    wide = tuple(place.fixed or (-1e4, 1e4) for place in network.plan.activations)
    graph = dataclasses.replace(network, ranges=wide).deployed_graph()
    passing = graph.replace(
        nodes=tuple(
            node.with_attrs(bits=32) if node.op == "Flowpress>FakeQuant" else node
            for node in graph.nodes
        )
    )
    batch = images(8)
    plain = to_keras(network.graph)
    assert relative_error(plain(batch), to_keras(passing)(batch)) <= 1e-5


def test_simulated_networks_hold_the_quantizers(network: IntegerNetwork) -> None:
    graph = network.simulated_graph("moving_average")
    added = [node for node in graph.nodes if node.op == "Flowpress>FakeQuant"]
    assert len(added) == sum(len(place.refs) for place in network.plan.activations)
    updates = {node.layer: node.attrs["update"] for node in added}
    fixed = {place.name for place in network.plan.activations if place.fixed}
    assert {name for name, update in updates.items() if update == "none"} == fixed


def test_scaling_of_limits() -> None:
    found = scaling(np.array([7.0, 14.0]), bits=4)
    assert found.scale.tolist() == [1.0, 2.0] and found.zero_point.tolist() == [8, 8]


def test_ranges_that_training_left_too_narrow_are_widened_in_the_file(
    network: IntegerNetwork,
) -> None:
    number = next(n for n, place in enumerate(network.plan.activations[1:], 1) if not place.fixed)
    node = network.plan.activations[number].refs[0].node
    ranges = list(network.ranges)
    ranges[number] = (0.0, 1e-9)
    narrow = dataclasses.replace(network, ranges=tuple(ranges))
    kept, found = (without_quantizers(n.deployed_graph()).ranges for n in (network, narrow))
    assert found[node][1] > 1e-6
    assert {name: found[name] for name in found if name != node} == {
        name: kept[name] for name in kept if name != node
    }
