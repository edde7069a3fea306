"""Flags of the learners of few bits: documented names, defaults and aliases; contradictions."""

import re

import pytest

import learners
from learners.config import RunConfig
from learners.uniform_quantization.config import UniformQuantConfig
from utils.errors import InputError
from utils.flags import build, describe, notices, parse
from utils.quantization.groups import Grouping

DOCUMENTED = {
    "uql_weight_bits": 4,
    "uql_activation_bits": 32,
    "uql_use_buckets": False,
    "uql_bucket_size": 256,
    "uql_quant_epochs": 60,
    "uql_save_quant_model_path": "./uql_quant_models/uql_quant_model.keras",
    "uql_quantize_all_layers": False,
    "uql_bucket_type": "channel",
    "uql_equivalent_bits": 4,
    "uql_nb_rlouts": 200,
    "uql_w_bit_min": 2,
    "uql_w_bit_max": 8,
    "uql_tune_layerwise_steps": 100,
    "uql_tune_global_steps": 2000,
    "uql_tune_save_path": "./rl_tune_models/model.keras",
    "uql_tune_disp_steps": 300,
    "uql_enbl_random_layers": True,
    "uql_enbl_rl_agent": False,
    "uql_enbl_rl_global_tune": True,
    "uql_enbl_rl_layerwise_tune": False,
}
ALIASES = {
    "uql_quant_epoch": "uql_quant_epochs",
    "uql_save_quant_mode_path": "uql_save_quant_model_path",
}


def made(**values: object) -> UniformQuantConfig:
    return build(UniformQuantConfig, {f"uql_{name}": value for name, value in values.items()})


def test_documented_flags_have_their_defaults() -> None:
    defaults = {spec.name: spec.default for spec in describe(UniformQuantConfig)}
    assert {name: defaults[name] for name in DOCUMENTED} == DOCUMENTED


def test_documented_aliases() -> None:
    aliases = {
        alias: spec.name for spec in describe(UniformQuantConfig) for alias in spec.info.aliases
    }
    assert ALIASES.items() <= aliases.items()
    found = parse(["--uql_quant_epoch=3"], [UniformQuantConfig]).configs[UniformQuantConfig]
    assert (found.quant_epochs, found.own_epochs) == (3, 3)
    assert learners.canonical_name("uniform-quant") == "uniform"


def test_groups_follow_the_flags() -> None:
    assert made().grouping() == Grouping("tensor")
    assert made(use_buckets=True).grouping((-2,)) == Grouping("channel", axes=(-2,))
    split = made(use_buckets=True, bucket_type="split", bucket_size=64).grouping()
    assert split == Grouping("split", size=64)


def test_bits_of_the_student_are_those_of_the_weights() -> None:
    assert made(weight_bits=3, activation_bits=2).student_bits == 3
    assert made(enbl_rl_agent=True, equivalent_bits=5).student_bits == 5


def test_a_search_has_the_budget_of_its_equivalent_bits() -> None:
    assert made().own_budget() is None
    assert made(enbl_rl_agent=True).own_budget() == "bits:0.125"
    assert made().search_flag == "--uql_enbl_rl_agent"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"weight_bits": 0}, "`uql_weight_bits` must be in [1, 16]. Received: 0"),
        ({"weight_bits": 17}, "`uql_weight_bits` must be in [1, 16]. Received: 17"),
        ({"activation_bits": 20}, "in [1, 16], or 32 for none. Received: 20"),
        ({"activation_bits": 33}, "in [1, 32]. Received: 33. Give 1 to 16, or 32 for none."),
        ({"bucket_type": "weight"}, "one of 'split', 'channel'. Received: 'weight'"),
        ({"w_bit_min": 5, "w_bit_max": 3}, "`uql_w_bit_min` must not exceed `uql_w_bit_max`"),
    ],
)
def test_refusals(values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        made(**values)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--uql_bucket_size=64", "has no effect without buckets. Received: 64. Add --uql_use_buck"),
        ("--uql_equivalent_bits=3", "has no effect without a search"),
    ],
)
def test_flags_without_what_they_need(flag: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        parse([flag], [UniformQuantConfig])


def test_equivalent_bits_lie_between_the_fewest_and_the_most() -> None:
    config = made(enbl_rl_agent=True, equivalent_bits=9)
    said = "`uql_equivalent_bits` must lie between `uql_w_bit_min` (2) and `uql_w_bit_max` (8)"
    with pytest.raises(InputError, match=re.escape(said)):
        config.check_run(RunConfig(), counts_given=True, num_epochs=None)
    config.check_run(RunConfig(budget="bits:2.5"), counts_given=True, num_epochs=None)


@pytest.mark.parametrize("name", ["uql_enbl_rl_agent", "uql_nb_rlouts"])
def test_a_search_that_is_off_is_no_flag_without_effect(name):
    said = notices({UniformQuantConfig: UniformQuantConfig()}, {name})
    assert bool(said) == (name == "uql_nb_rlouts")
