"""Flags of `uniform`: documented names and defaults, aliases, what is refused."""

import pytest

from learners.uniform_quantization.config import UniformQuantConfig
from utils.errors import InputError
from utils.flags import build, describe

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
    "uql_enbl_rl_agent": False,
}


def test_documented_names_and_defaults():
    found = {spec.name: spec.default for spec in describe(UniformQuantConfig)}
    assert {name: found.get(name) for name in DOCUMENTED} == DOCUMENTED


def test_the_other_spelling_of_the_path_is_known():
    aliases = {spec.name: spec.info.aliases for spec in describe(UniformQuantConfig)}
    assert "uql_save_quant_mode_path" in aliases["uql_save_quant_model_path"]


@pytest.mark.parametrize(
    ("flag", "value"), [("uql_rounding", "up"), ("uql_grid", "log"), ("uql_weight_bits", 17)]
)
def test_what_there_is_not_is_refused(flag, value):
    with pytest.raises(InputError, match=flag):
        build(UniformQuantConfig, {flag: value})
