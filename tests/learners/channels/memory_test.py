import math

import numpy as np
import pytest

from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.cost import NetworkCost
from learners.channels.groups import prunable_groups
from learners.channels.memory import PeakMemory
from tests.learners import networks
from utils.graph import from_keras

IN_PLACE = ("BatchNormalization", "ReLU", "Activation", "Dropout")


def by_hand(graph):
    """Walk the network; a map lives until its last reader, normalization and ReLU write over it."""
    readers = {}
    for step, node in enumerate(graph.nodes):
        for ref in node.inputs:
            readers.setdefault(ref.node, []).append(step)
    kept = {ref.node for ref in graph.outputs}
    sizes, names, peak = {}, {}, 0
    for node in graph.nodes:
        if node.op.rpartition(".")[2] in IN_PLACE:
            names[node.name] = names[node.inputs[0].node]
        else:
            names[node.name] = node.name
            sizes[node.name] = math.prod(node.output_shapes[0][1:])
    for step in range(len(graph.nodes)):
        made = {names[node.name] for node in graph.nodes[: step + 1]}
        needed = {
            names[name]
            for name in names
            if name in kept or any(at >= step for at in readers.get(name, ()))
        }
        now = names[graph.nodes[step].name]
        peak = max(peak, sum(sizes[name] for name in made & (needed | {now})))
    return peak


@pytest.mark.parametrize("build", [networks.vgg, networks.residual, networks.concat])
def test_candidates_take_what_their_own_network_does(build):
    graph = from_keras(build())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig(residual="joint"))
    cost = NetworkCost(graph, groups)
    full = np.array([group.size for group in groups])
    generator = np.random.default_rng(0)
    candidates = np.array([full, *(generator.integers(1, full + 1) for _ in range(6))])
    found = PeakMemory(cost, full)(candidates)
    assert found.tolist() == [by_hand(cost.cut(row)) for row in candidates]
    assert found[0] == max(found) > min(found)
