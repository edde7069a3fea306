"""Names and defaults of the documents, and what is refused."""

import pytest

import learners
from learners.uniform_quantization_tf.config import UniformQuantTFConfig
from utils import flags
from utils.errors import InputError


def test_documented_names_and_defaults() -> None:
    found = {spec.name: spec.default for spec in flags.describe(UniformQuantTFConfig)}
    documented = {
        "uqtf_save_path": "./models_uqtf/model.keras",
        "uqtf_save_path_eval": "./models_uqtf_eval/model.keras",
        "uqtf_weight_bits": 8,
        "uqtf_activation_bits": 8,
        "uqtf_quant_delay": 0,
        "uqtf_freeze_bn_delay": None,
        "uqtf_lrn_rate_dcy": 1e-2,
        "uqtf_enbl_manual_quant": False,
    }
    assert documented.items() <= found.items()
    assert learners.canonical_name("uniform-quant-tf") == "uniform-tf"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"uqtf_weight_bits": 9}, r"`uqtf_weight_bits` must be in \[2, 8\].*Received: 9"),
        ({"uqtf_activation_bits": 4}, "`uqtf_activation_bits`.*Received: 4.*--uql_activation_bits"),
        ({"uqtf_range_update": "often"}, "`uqtf_range_update` must be one of"),
    ],
)
def test_refuses(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        flags.build(UniformQuantTFConfig, values)


def test_student_bits() -> None:
    assert UniformQuantTFConfig(weight_bits=4).student_bits == 4
