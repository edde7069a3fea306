"""Contradictory flags of searches and settings, refused before TensorFlow is loaded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from learners.search.agents import AGENTS
from learners.search.config import RolloutConfig
from learners.setting import Setting, read_setting
from utils.errors import InputError

if TYPE_CHECKING:
    from learners.config import RunConfig


def check_search(run: "RunConfig", stage_configs: Sequence[Any]) -> Setting | None:
    """Check what the flags say about searches.

    Args:
        run: flags of every run.
        stage_configs: one config per stage; those whose learner can search have `searching`.

    Returns:
        The setting of `--setting`, None without one.

    Raises:
        InputError: contradictory flags, a setting file that cannot be used.
    """
    able = [config for config in stage_configs if hasattr(config, "searching")]
    on = [config for config in able if config.searching.search]
    for config in on:
        _check_searching(run, config.searching, config.PREFIX)
        if getattr(config, "warm_start", False):
            raise InputError(
                f"--{config.PREFIX}search and --{config.PREFIX}warm_start contradict each other: "
                "a warm start takes what was chosen already. Leave one out."
            )
    if not on:
        for name in ("agent", "search_minutes"):
            if getattr(run, name) is not None:
                raise InputError(
                    f"--{name} has no effect without a search. Switch one on (--cpr_search), or "
                    f"leave --{name} out."
                )
    if run.setting is None:
        return None
    return _checked_setting(run, able, on)


def _check_searching(run: "RunConfig", config: RolloutConfig, prefix: str) -> None:
    if run.budget is None:
        raise InputError(
            f"--{prefix}search needs a budget that every candidate keeps. Give one, e.g. "
            "--budget=flops:0.5."
        )
    if config.nb_rlouts_min > config.nb_rlouts and config.nb_rlouts_min != _default(
        "nb_rlouts_min"
    ):
        raise InputError(
            f"`{prefix}nb_rlouts_min` must not exceed `{prefix}nb_rlouts` ({config.nb_rlouts}). "
            f"Received: {config.nb_rlouts_min}."
        )
    if config.reward_type == "multi-obj" and config.reward_policy == "accuracy":
        raise InputError(
            f"`{prefix}reward_type` multi-obj weighs score and cost, `{prefix}reward_policy` "
            f"accuracy leaves the cost out. Give --{prefix}reward_policy=flops, or "
            f"--{prefix}reward_type=single-obj."
        )
    spends = run.agent is not None and AGENTS[run.agent].needs_problem
    if config.reward_type == "multi-obj" and spends:
        raise InputError(
            f"`{prefix}reward_type` multi-obj wants candidates below the budget too, and --agent="
            f"{run.agent} always uses it up. Leave --agent out, or choose another."
        )
    if run.enbl_multi_gpu:
        raise InputError(
            f"--{prefix}search runs in one process. Search without --enbl_multi_gpu, then train "
            "with several workers and --setting=ratios.json."
        )


def _default(field: str) -> Any:
    return RolloutConfig.__dataclass_fields__[field].default


def _checked_setting(run: "RunConfig", able: Sequence[Any], on: Sequence[Any]) -> Setting:
    for other, given in (
        ("a search", bool(on)),
        ("--budget", run.budget is not None),
        ("a warm start", any(getattr(config, "warm_start", False) for config in able)),
    ):
        if given:
            raise InputError(
                f"--setting and {other} contradict each other: the file says what stays of each "
                "layer. Leave one out."
            )
    if not able:
        raise InputError("--setting has no effect on learners that do not choose for each layer.")
    return read_setting(str(run.setting))
