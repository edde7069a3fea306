import pytest

from learners.soft_pruning.config import SoftPrunedConfig
from utils import flags
from utils.errors import InputError


def test_names_and_defaults():
    values = flags.flag_values(SoftPrunedConfig())
    assert {name: values[name] for name in values if not name.startswith("sfp_save")} == {
        "sfp_thresholds": "0.8,0.7,0.6,0.55,0.5",
        "sfp_failure_rate": 0.1,
        "sfp_max_retrains": 2,
        "sfp_frequency": 0,
        "sfp_scope_names": None,
    }


def test_lists():
    config = SoftPrunedConfig(thresholds="0.9, 0.3", scope_names=" a,, b")
    assert (config.falling(), config.scopes()) == ((0.9, 0.3), ("a", "b"))
    assert SoftPrunedConfig().scopes() == ()


@pytest.mark.parametrize("text", ["0.5,0.6", "1.5", "", "many"])
def test_thresholds_that_cannot_be_are_refused_before_anything(text):
    with pytest.raises(InputError, match=r"^`sfp_thresholds` must be numbers"):
        SoftPrunedConfig(thresholds=text)
