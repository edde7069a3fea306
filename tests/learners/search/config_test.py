import pytest

from learners.search.config import RolloutConfig
from utils import flags
from utils.errors import InputError


def test_defaults_are_the_documented_ones():
    config = flags.build(RolloutConfig, {})
    assert not config.search
    assert (config.nb_rlouts, config.nb_rlouts_min) == (200, 50)
    assert (config.reward_type, config.reward_policy) == ("single-obj", "accuracy")
    assert config.noise_tolerance == 0.15


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nb_rlouts": 0}, r"`nb_rlouts` must be .*1.* Received: 0"),
        ({"reward_type": "both"}, r"`reward_type` must be one of .*Received: 'both'"),
        ({"noise_tolerance": 1.5}, r"`noise_tolerance` must be .* Received: 1.5"),
    ],
)
def test_bounds(values, message):
    with pytest.raises(InputError, match=message):
        flags.build(RolloutConfig, values)
