"""A choice carried out: shapes, zeros and values as it says, and nearer than each part alone."""

import numpy as np
import pytest

from learners.auto.build import build
from learners.auto.joint import Joint
from learners.auto.offers import Option
from learners.auto.solving import Grids
from utils.graph import to_keras
from utils.graph.keras_io import from_keras


@pytest.fixture(scope="module")
def built(places, tables, sampler):
    options = {
        "one": Option(bits=8),
        "two": Option(bits=4, percent=60, pattern="element"),
        "head": Option(bits=6),
    }
    joint = Joint(widths={group.name: group.size - 3 for group in places.groups}, options=options)
    keep = {name: table.mask(joint.widths[name]) for name, table in tables.groups.items()}
    return joint, build(places, joint, keep, sampler, Grids("affine"), importance=tables.importance)


def test_shapes_zeros_and_values(built, places):
    joint, found = built
    for layer in found.layers:
        kernel = layer.matrix(found.graph.params)
        option = joint.options[layer.name]
        assert kernel.shape == (layer.num_rows, layer.num_outputs)
        assert all(np.unique(column).size <= 2**option.bits for column in kernel.T)
        assert np.count_nonzero(kernel) <= option.count(kernel.size)
    whole = {layer.name: layer for layer in places.layers}
    shapes = {layer.name: layer.shapes[0] for layer in found.layers}
    assert whole["two"].shapes[0] == (3, 3, 8, 8)
    assert shapes == {"one": (3, 3, 3, 5), "two": (3, 3, 5, 5), "head": (5, 4)}


def test_zeros_that_stay_are_those_that_went(built):
    _, found = built
    marks = found.marks()
    kernels = {la.name: la.matrix(found.graph.params) for la in found.layers}
    for layer in found.layers:
        marked = layer.matrix(marks.params)
        assert set(np.unique(marked)) <= {0.0, 1.0}
        assert not kernels[layer.name][marked == 0].any()
    assert layer_of(found, "head").matrix(marks.params).all()
    assert np.count_nonzero(layer_of(found, "two").matrix(marks.params)) == round(0.6 * 225)


def layer_of(found, name):
    return next(layer for layer in found.layers if layer.name == name)


def test_codes_give_the_kernels_back(built):
    _, found = built
    for layer in found.layers:
        kernel = layer.matrix(found.graph.params)
        rows, outputs = np.indices(kernel.shape)
        again = found.codes[layer.name].nearest(kernel.astype(np.float64), rows, outputs)
        np.testing.assert_allclose(again, kernel, rtol=1e-5, atol=1e-7)


def test_the_network_goes_on_working(built, model, sampler):
    _, found = built
    images = next(iter(sampler.batches))
    before = np.asarray(model(images, training=False))
    after = np.asarray(to_keras(found.graph)(images, training=False))
    apart = np.mean((after - before) ** 2) / np.var(before)
    assert apart < 0.5  # three of eight channels are gone, twice
    assert set(found.errors) == {layer.name for layer in found.layers}
    assert from_keras(to_keras(found.graph)).outputs
