import subprocess
import sys

import pytest

from rl_agents.ddpg.config import DdpgConfig
from utils.errors import InputError
from utils.flags import build, describe

DOCUMENTED = {
    "ddpg_tau": 0.01,
    "ddpg_gamma": 0.9,
    "ddpg_lrn_rate": 1e-3,
    "ddpg_loss_w_dcy": 0.0,
    "ddpg_record_step": 1,
    "ddpg_batch_size": 64,
    "ddpg_enbl_bsln_func": True,
    "ddpg_bsln_decy_rate": 0.95,
    "ddpg_actor_depth": 2,
    "ddpg_actor_width": 64,
    "ddpg_critic_depth": 2,
    "ddpg_critic_width": 64,
    "ddpg_noise_type": "action",  # departs: documented as "param"
    "ddpg_noise_prtl": "tdecy",
    "ddpg_noise_std_init": 0.5,  # departs: documented as 1.0
    "ddpg_noise_dst_finl": 1e-2,
    "ddpg_noise_adpt_rat": 1.03,
    "ddpg_noise_std_finl": 0.02,  # departs: documented as 1e-5
    "ddpg_rms_eps": 1e-4,
}


def test_every_documented_flag_with_its_default():
    assert {spec.name: spec.default for spec in describe(DdpgConfig)} == DOCUMENTED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ddpg_tau", 0.0),
        ("ddpg_tau", 1.5),
        ("ddpg_gamma", 1.0),
        ("ddpg_lrn_rate", 0.0),
        ("ddpg_record_step", 0),
        ("ddpg_batch_size", 0),
        ("ddpg_actor_depth", 0),
        ("ddpg_noise_type", "both"),
        ("ddpg_noise_prtl", "linear"),
        ("ddpg_noise_std_init", -1.0),
        ("ddpg_noise_adpt_rat", 1.0),
        ("ddpg_rms_eps", 0.0),
    ],
)
def test_out_of_bounds(name, value):
    with pytest.raises(InputError, match=rf"`{name}` must be .* Received: {value!r}"):
        build(DdpgConfig, {name: value})


def test_action_noise_cannot_adapt():
    with pytest.raises(InputError, match=r"must be 'tdecy' with `ddpg_noise_type` 'action'.*Use"):
        DdpgConfig(noise_type="action", noise_prtl="adapt")


def test_needs_no_tensorflow():
    code = (
        "import sys, rl_agents.ddpg.config, rl_agents.ddpg.agent, rl_agents.evolution\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
