import pytest

from nets.config import HelperConfig
from utils.errors import InputError
from utils.flags import build, flag_values


def test_flags_about_data_stand_beside_the_others():
    names = flag_values(HelperConfig())
    assert {"batch_size", "nb_epochs_rat", "momentum", "data_dir_local", "val_fraction"} <= set(
        names
    )
    assert names["batch_size"] == 128
    assert names["batch_size_eval"] == 100


@pytest.mark.parametrize(
    ("flag", "value"), [("batch_size", 0), ("momentum", 1.0), ("lrn_rate_init", 0.0)]
)
def test_bounds(flag, value):
    with pytest.raises(InputError, match=rf"`{flag}` must be .* Received: {value}"):
        build(HelperConfig, {flag: value})
