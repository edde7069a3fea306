"""The counts that the peer is given are those of our uniform networks today."""

import pytest

from benchmarks.peer_counts import counts
from benchmarks.peers.plan import DENSE_TOP1, load_counts


@pytest.mark.parametrize("network", DENSE_TOP1)
def test_counts_are_those_of_our_networks(network):
    assert load_counts(network) == counts(network), "run python -m benchmarks.peer_counts"
