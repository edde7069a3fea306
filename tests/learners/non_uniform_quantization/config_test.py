import pytest

from learners import config_class
from learners.non_uniform_quantization.config import NonUniformQuantConfig
from utils import flags
from utils.errors import InputError

DOCUMENTED = {
    "nuql_opt_mode": "weights",
    "nuql_weight_bits": 4,
    "nuql_activation_bits": 32,
    "nuql_bucket_size": 256,
    "nuql_bucket_type": "channel",
    "nuql_quant_epochs": 60,
    "nuql_save_quant_model_path": "./nuql_quant_models/model.keras",
    "nuql_quantize_all_layers": False,
    "nuql_equivalent_bits": 4,
    "nuql_nb_rlouts": 200,
    "nuql_w_bit_min": 2,
    "nuql_w_bit_max": 8,
    "nuql_tune_layerwise_steps": 100,
    "nuql_tune_global_steps": 2101,
    "nuql_tune_save_path": "./rl_tune_models/model.keras",
    "nuql_tune_disp_steps": 300,
    "nuql_enbl_random_layers": True,
    "nuql_enbl_rl_agent": False,
    "nuql_enbl_rl_global_tune": True,
    "nuql_enbl_rl_layerwise_tune": False,
}


def specs():
    return {spec.name: spec for spec in flags.describe(NonUniformQuantConfig)}


def test_documented_flags_have_their_documented_defaults():
    assert {name: specs()[name].default for name in DOCUMENTED} == DOCUMENTED


def test_the_bad_documented_default_is_another_one():
    assert specs()["nuql_init_style"].default == "kmeans"
    assert "quantile" in specs()["nuql_init_style"].info.choices


def test_other_spellings_mean_the_same():
    aliases = {alias: name for name, spec in specs().items() for alias in spec.info.aliases}
    assert aliases["nuql_quant_epoch"] == "nuql_quant_epochs"
    assert aliases["nuql_save_quant_mode_path"] == "nuql_save_quant_model_path"
    assert config_class("non-uniform-quant") is NonUniformQuantConfig


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("nuql_weight_bits", 0),
        ("nuql_weight_bits", 9),
        ("nuql_w_bit_min", 0),
        ("nuql_w_bit_max", 9),
        ("nuql_equivalent_bits", 9),
    ],
)
def test_codebooks_have_up_to_eight_bits(name, bits):
    with pytest.raises(InputError, match=rf"`{name}` must be in \[1, 8\]. Received: {bits}"):
        flags.build(NonUniformQuantConfig, {name: bits})


def test_the_decoded_file_is_written_for_targets_that_run_it():
    pytest.importorskip("tflite_micro", reason="the package of the extra `tflm` is not installed")
    config = NonUniformQuantConfig()
    assert config.files_for("tflm") == config.files_for("cortex-m") == ("tflm",)
    assert (
        config.files_for("ethos-u55") == config.files_for("litert") == config.files_for(None) == ()
    )
