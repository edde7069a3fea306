"""The settings of DDPG: each `--ddpg_` flag, once."""

import dataclasses
from typing import ClassVar

from utils.errors import InputError
from utils.flags import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class DdpgConfig:
    """Settings of the DDPG agent; names without the prefix `ddpg_`.

    Three defaults depart from the documented ones (parameter noise of 1, decaying to 1e-5), which
    drive the actions to 0 and 1 and then stop exploring: see docs/reinforcement_learning.md.
    """

    PREFIX: ClassVar[str] = "ddpg_"

    tau: float = flag(
        0.01,
        "Share of the main networks that the target networks take over at each update.",
        lower=0.0,
        upper=1.0,
        lower_open=True,
    )
    gamma: float = flag(0.9, "Discount of later rewards.", lower=0.0, upper=1.0, upper_open=True)
    lrn_rate: float = flag(
        1e-3, "Learning rate of actor and critic (Adam).", lower=0.0, lower_open=True
    )
    loss_w_dcy: float = flag(0.0, "Weight decay of actor and critic.", lower=0.0)
    record_step: int = flag(
        1, "Every n-th step of a roll-out goes into the replay buffer.", unit="steps", lower=1
    )
    batch_size: int = flag(64, "Transitions per update.", unit="transitions", lower=1, upper=65_536)
    enbl_bsln_func: bool = flag(
        True, "Subtract a running average of the roll-outs' rewards from each reward."
    )
    bsln_decy_rate: float = flag(
        0.95,
        "How much of that average a new roll-out leaves in place.",
        lower=0.0,
        upper=1.0,
        upper_open=True,
    )
    actor_depth: int = flag(2, "Hidden blocks of the actor.", unit="blocks", lower=1, upper=32)
    actor_width: int = flag(
        64, "Units of each of the actor's blocks.", unit="units", lower=1, upper=4_096
    )
    critic_depth: int = flag(
        2,
        "Hidden blocks of the critic after the action has joined.",
        unit="blocks",
        lower=1,
        upper=32,
    )
    critic_width: int = flag(
        64, "Units of each of the critic's blocks.", unit="units", lower=1, upper=4_096
    )
    noise_type: str = flag(
        "action",
        "What is disturbed to explore: the actor's parameters, once per roll-out, or each action.",
        choices=("action", "param"),
    )
    noise_prtl: str = flag(
        "tdecy",
        "How the noise's size changes: by time decay (tdecy), or adapted so that parameter noise "
        "moves the actions by a wanted distance (adapt).",
        choices=("adapt", "tdecy"),
    )
    noise_std_init: float = flag(
        0.5, "Standard deviation of the noise at the start.", lower=0.0, lower_open=True
    )
    noise_dst_finl: float = flag(
        1e-2,
        "adapt: distance (root mean square) between clean and disturbed actions to aim at.",
        lower=0.0,
        lower_open=True,
    )
    noise_adpt_rat: float = flag(
        1.03,
        "adapt: factor by which the standard deviation changes per update.",
        lower=1.0,
        lower_open=True,
    )
    noise_std_finl: float = flag(
        0.02,
        "tdecy: standard deviation of the noise in the last roll-out.",
        lower=0.0,
        lower_open=True,
    )
    rms_eps: float = flag(
        1e-4,
        "Smallest variance that the running normalisation of states and rewards divides by.",
        lower=0.0,
        lower_open=True,
    )

    def __post_init__(self) -> None:
        if (self.noise_type, self.noise_prtl) == ("action", "adapt"):
            raise InputError(
                "`ddpg_noise_prtl` must be 'tdecy' with `ddpg_noise_type` 'action'. Received: "
                "'adapt', which measures how parameter noise moves the actions. Use --ddpg_noise_"
                "type=param or --ddpg_noise_prtl=tdecy."
            )
