"""The configs of learners that cut channels have every flag that the shared functions read."""

import pytest

import learners
from learners.channels.flags import ChannelFlags, LatencyFlags

CUTTING = [name for name, entry in learners.LEARNERS.items() if entry.quantity == "channels"]


def members(protocol):
    return [name for name, value in vars(protocol).items() if isinstance(value, property)]


@pytest.mark.parametrize("name", CUTTING)
def test_configs_have_them(name):
    config = learners.config_class(name)()
    assert len(members(ChannelFlags)) > 5
    for member in members(ChannelFlags):
        assert hasattr(config, member), member
    for member in members(LatencyFlags):
        assert hasattr(config.channel_search, member), member
