"""What post-training quantization is told."""

import pytest

from learners.post_training.config import PostTrainingConfig
from utils.errors import InputError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation_bits": 12}, "must be 8 or 16"),
        ({"activation_bits": 16}, "symmetric about zero"),
        ({"strategy": "minmax_t", "weight_bits": 4}, "computes with 8 bits"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PostTrainingConfig(**settings).check()  # type: ignore[arg-type]
