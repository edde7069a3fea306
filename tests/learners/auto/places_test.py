"""What is up for choice, and what a cut leaves of kernels, against the cut network itself."""

import numpy as np
import pytest

from learners.auto.places import find_places, kept_kernels
from learners.channels.segments import cut
from tests.learners import networks
from utils.errors import InputError
from utils.graph import from_keras


@pytest.mark.parametrize("make", [networks.residual, networks.vgg, networks.depthwise])
@pytest.mark.parametrize("residual", ["inner", "joint"])
def test_what_is_left_is_what_the_cut_network_has(make, residual, rng):
    graph = from_keras(make())
    places = find_places(graph, residual=residual, skip_op_names=None)
    keep = {}
    for group in places.groups:
        mask = np.zeros(group.size, bool)
        mask[rng.permutation(group.size)[: group.size // 2]] = True
        keep[group.name] = mask
    small, kept = cut(graph, places.groups, keep), kept_kernels(graph, places.layers, keep)
    for layer in places.layers:
        own = kept[layer.name]
        part = layer.matrix(graph.params)[own.index]
        np.testing.assert_array_equal(part, own.layer.matrix(small.params))
        wide = own.widened(part, layer.matrix(graph.params).shape)
        np.testing.assert_array_equal(wide[own.index], part)
        assert np.count_nonzero(wide) == np.count_nonzero(part)


def test_streams_only_where_they_may():
    graph = from_keras(networks.residual())
    inner = find_places(graph, residual="inner", skip_op_names=None).groups
    joint = find_places(graph, residual="joint", skip_op_names=None).groups
    assert not any(group.is_stream for group in inner)
    assert {group.name for group in inner} < {group.name for group in joint}


def test_a_layer_that_is_left_alone_keeps_its_inputs():
    graph = from_keras(networks.vgg())
    places = find_places(graph, residual="inner", skip_op_names="conv2")
    assert "conv2" not in {layer.name for layer in places.layers}
    assert not any(reader.node == "conv2" for group in places.groups for reader in group.readers)


def test_unknown_names_and_nothing_left_are_refused():
    graph = from_keras(networks.vgg())
    with pytest.raises(InputError, match="auto_skip_op_names"):
        find_places(graph, residual="inner", skip_op_names="nothing")
    with pytest.raises(InputError, match="no kernel to compress"):
        find_places(graph, residual="inner", skip_op_names="conv,fc")
