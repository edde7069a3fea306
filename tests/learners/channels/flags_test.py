"""The configs of learners that cut channels have every flag that the shared functions read."""

import pytest

import learners
from learners.channels.flags import BudgetFlags, ChannelFlags, LatencyFlags

CUTTING = [name for name, entry in learners.LEARNERS.items() if entry.quantity == "channels"]
BY_WALKS = [name for name in CUTTING if hasattr(learners.config_class(name), "ratio_list")]


def members(protocol):
    return [name for name, value in vars(protocol).items() if isinstance(value, property)]


@pytest.mark.parametrize("name", CUTTING)
def test_configs_have_what_a_budget_reads(name):
    config = learners.config_class(name)()
    assert len(members(BudgetFlags)) == 3
    for member in members(BudgetFlags):
        assert hasattr(config, member), member
    for member in members(LatencyFlags):
        assert hasattr(config.channel_search, member), member


@pytest.mark.parametrize("name", BY_WALKS)
def test_configs_have_what_the_choice_of_groups_reads(name):
    config = learners.config_class(name)()
    assert len(members(ChannelFlags)) == 5
    for member in members(ChannelFlags):
        assert hasattr(config, member), member


def test_all_but_those_with_a_choice_of_their_own():
    assert set(CUTTING) - set(BY_WALKS) == {"filter-pruned"}
