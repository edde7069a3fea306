"""Where channels are read, on a network with loops."""

from learners.channels.axes import read_axes
from tests.learners import networks
from utils.graph import channel_groups, from_keras


def test_rows_are_read_by_readers_and_loops():
    graph = from_keras(networks.recurrent())
    groups = {group.name: group for group in channel_groups(graph)}
    rows = [read[:3] for name in ("each", "both") for read in read_axes(graph, groups[name])]
    assert [(layer, weight.rpartition("/")[2], axis) for layer, weight, axis in rows] == [
        ("both", "kernel", -2),
        ("both", "kernel", -2),
        ("head", "kernel", -2),
        ("both", "recurrent_kernel", -2),
        ("both", "recurrent_kernel", -2),
    ]
