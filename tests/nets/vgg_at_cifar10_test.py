import pytest

from nets.vgg_at_cifar10 import ModelHelper
from utils.errors import InputError


def test_network_and_defaults():
    helper = ModelHelper()
    assert helper.build_model().name == "vgg_16"
    assert (helper.config.lrn_rate_init, helper.config.loss_w_dcy) == (0.05, 5e-4)


def test_unknown_size():
    with pytest.raises(InputError, match=r"`vgg_size` must be one of 11, 13, 16, 19. Received: 17"):
        ModelHelper.config_class(vgg_size=17)
