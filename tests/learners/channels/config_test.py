import pytest

from learners.channels.config import ChannelSearchConfig, LatencyConfig
from utils import flags
from utils.errors import InputError


def test_a_budget_of_time_has_its_part_alone():
    assert set(flags.flag_values(LatencyConfig())) == {"latency_step"}


def test_defaults():
    config = flags.build(ChannelSearchConfig, {})
    assert (config.nb_smpls_bn, config.nb_iters_tune, config.latency_step) == (250, 0, 16)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nb_smpls_bn": 251}, r"`nb_smpls_bn` must be .*250.* Received: 251"),
        ({"nb_iters_tune": -1}, r"`nb_iters_tune` must be .*0.* Received: -1"),
        ({"latency_step": 0}, r"`latency_step` must be .*1.* Received: 0"),
    ],
)
def test_bounds(values, message):
    with pytest.raises(InputError, match=message):
        flags.build(ChannelSearchConfig, values)
