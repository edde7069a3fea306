from learners.full_precision.config import FullPrecConfig
from utils import flags


def test_has_no_flags_of_its_own():
    assert flags.describe(FullPrecConfig) == ()
    assert flags.build(FullPrecConfig, {}) == FullPrecConfig()
