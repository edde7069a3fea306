"""Ranges and kernels before training, against what they are made of."""

import keras
import numpy as np
import pytest

from learners.reconstruction.sampling import Sampler
from learners.uniform_quantization_tf.network import plan_of
from learners.uniform_quantization_tf.start import (
    calibrated_ranges,
    integer_layers,
    start,
)
from tests.learners.networks import concat, images, residual
from utils import weight_facts
from utils.graph import from_keras, to_keras
from utils.graph.integer_form import integer_form
from utils.graph.keras_io import to_keras_with_tensors


@pytest.fixture(scope="module")
def graph():
    return integer_form(from_keras(residual()))


def test_ranges_hold_what_all_tensors_that_share_them_reach() -> None:
    form = integer_form(from_keras(concat()))
    plan, batch = plan_of(form), images()
    ranges = calibrated_ranges(form, plan, [batch], "minmax")
    shared = next(i for i, place in enumerate(plan.activations) if len(place.refs) > 1)
    model, tensors = to_keras_with_tensors(form)
    (both,) = (tensor for ref, tensor in tensors.items() if ref.node == "both")
    joined = np.asarray(keras.Model(model.inputs[0], both)(batch))
    assert ranges[shared] == pytest.approx((min(joined.min(), 0), joined.max()), rel=1e-5)


@pytest.mark.parametrize("on_walk", [True, False])
def test_kernels_lie_on_grids_with_as_many_steps_below_as_above(graph, on_walk: bool) -> None:
    batch = images(64)
    plan = plan_of(graph)
    ranges = calibrated_ranges(graph, plan, [batch], "mse")
    layers = integer_layers(graph, plan)
    bits = dict.fromkeys((layer.name for layer in layers), 3)
    sampler = Sampler([batch], num_images=64, num_positions=4, seed=0) if on_walk else None
    network, errors = start(graph, ranges, bits, sampler)
    assert list(errors) == [layer.name for layer in layers]
    for (layer, weight), limit in network.limits.items():
        kernel = network.graph.params[layer][weight]
        groups = kernel.reshape(-1, kernel.shape[-1]) if limit.size > 1 else kernel.reshape(-1, 1)
        steps = groups / (np.asarray(limit).reshape(-1) / 3)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
        assert np.abs(steps).max() <= 3.001
    assert weight_facts.bits([network.graph.params["a1"]["kernel"][..., 0]]) <= 3
    assert np.isfinite(to_keras(network.graph)(batch)).all()
