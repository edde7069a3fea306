"""What `uniform` adds to the shared flags, which are `low_bits/config_test.py`'s."""

import pytest

from learners.uniform_quantization.config import UniformQuantConfig
from utils.errors import InputError
from utils.flags import build


def test_moments_and_affine_grids_are_the_default():
    config = UniformQuantConfig()
    assert (config.rounding, config.grid) == ("obq", "affine")


@pytest.mark.parametrize(("flag", "value"), [("uql_rounding", "up"), ("uql_grid", "log")])
def test_what_there_is_not_is_refused(flag, value):
    with pytest.raises(InputError, match=f"`{flag}` must be one of.*Received: '{value}'"):
        build(UniformQuantConfig, {flag: value})
