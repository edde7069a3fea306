import pytest

from nets.mobilenet_at_cifar10 import ModelHelper
from utils.errors import InputError
from utils.flags import build


def test_flags_shape_the_network():
    config = build(ModelHelper.config_class, {"mobilenet_version": 2, "mobilenet_depth_mult": 0.25})
    model = ModelHelper(config).build_model()
    assert model.name == "mobilenet_v2"
    assert model.get_layer("stem_conv").filters == 8


@pytest.mark.parametrize(
    ("flag", "value"), [("mobilenet_version", 4), ("mobilenet_depth_mult", 0.0)]
)
def test_bounds(flag, value):
    with pytest.raises(InputError, match=rf"`{flag}` must be in .* Received: {value}"):
        build(ModelHelper.config_class, {flag: value})


def test_defaults():
    config = ModelHelper.config_class()
    assert (config.lrn_rate_init, config.loss_w_dcy, config.mobilenet_version) == (0.05, 4e-5, 1)
