import pytest

import learners
from learners.config import RunConfig
from utils import flags
from utils.errors import InputError

CLASS = learners.config_class("distillation")


def test_its_own_flag():
    assert [spec.name for spec in flags.describe(CLASS)] == ["dst_alpha"]
    assert flags.build(CLASS, {"dst_alpha": 1.0}).alpha == 1.0


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.1])
def test_a_share_that_disables_the_teacher_is_refused(alpha):
    with pytest.raises(InputError, match=r"`dst_alpha` must be in \(0, 1\].*--learner=full-prec"):
        flags.build(CLASS, {"dst_alpha": alpha})


def test_distillation_is_on_with_it():
    configs = flags.build_all([RunConfig, CLASS], {"tempr_dst": 2.0})
    assert configs[RunConfig].distillation.enbl_dst
    assert not flags.build_all([RunConfig], {})[RunConfig].distillation.enbl_dst
