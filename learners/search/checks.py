"""Contradictory flags of searches and settings, refused before TensorFlow is loaded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from learners import Entry
from learners.budget import parse_budget
from learners.learner_config import LearnerConfig
from learners.search.agents import AGENTS
from learners.search.config import RolloutConfig
from learners.setting import Setting, read_setting
from utils.errors import InputError

if TYPE_CHECKING:
    from learners.config import RunConfig


def check_search(
    run: "RunConfig", entries: Sequence[Entry], stage_configs: Sequence[LearnerConfig]
) -> Setting | None:
    """Check what the flags say about searches.

    Args:
        run: flags of every run.
        entries: the learners' rows in the table, one per stage.
        stage_configs: their configs.

    Returns:
        The setting of `--setting`, None without one.

    Raises:
        InputError: contradictory flags, a setting file that cannot be used.
    """
    on = [config for config in stage_configs if config.wants_search()]
    for config in on:
        if config.searching is not None:
            _check_searching(run, config, config.searching)
        choice = config.choice()
        if choice is not None:
            raise InputError(
                f"{config.search_flag} and --{choice.flag} contradict each other: "
                f"{choice.words} takes what was chosen already. Leave one out."
            )
    if not on:
        _refuse_idle(run, stage_configs)
    _refuse_idle_budget(run, entries, stage_configs)
    return None if run.setting is None else _checked_setting(run, entries, stage_configs)


def _refuse_idle(run: "RunConfig", stage_configs: Sequence[LearnerConfig]) -> None:
    """Refuse flags about searches in a run without one."""
    able = [c.search_flag for c in stage_configs if c.searching is not None]
    advice = f"Switch one on ({', '.join(able)})" if able else "Choose a learner that has one"
    for name in ("agent", "search_minutes"):
        if getattr(run, name) is not None:
            raise InputError(
                f"--{name} has no effect without a search. {advice}, or leave --{name} out."
            )


def _refuse_idle_budget(
    run: "RunConfig", entries: Sequence[Entry], stage_configs: Sequence[LearnerConfig]
) -> None:
    """Refuse a budget where all learners that could meet it have their choice made already."""
    kinds = set() if run.budget is None else set(parse_budget(run.budget).kinds)
    pairs = zip(entries, stage_configs, strict=True)
    able = [config.choice() for entry, config in pairs if kinds.intersection(entry.budgets)]
    made = [choice for choice in able if choice is not None]
    if made and len(made) == len(able):
        raise InputError(
            f"--budget and --{made[0].flag} contradict each other: {made[0].words} says what stays "
            "of each layer. Leave one out."
        )


def _check_searching(run: "RunConfig", owner: LearnerConfig, config: RolloutConfig) -> None:
    prefix = owner.PREFIX
    if run.budget is None and owner.own_budget() is None:
        raise InputError(
            f"{owner.search_flag} needs a budget that every candidate keeps. Give one, e.g. "
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


def _default(field: str) -> Any:
    return RolloutConfig.__dataclass_fields__[field].default


def _switch(config: LearnerConfig) -> str:
    """Say how a search came to be on: nobody has written a default."""
    is_default = type(config)().wants_search()
    return f"{config.search_flag}{', the default: give another value' if is_default else ''}"


def _checked_setting(
    run: "RunConfig", entries: Sequence[Entry], stage_configs: Sequence[LearnerConfig]
) -> Setting:
    searches = [config for config in stage_configs if config.wants_search()]
    choices = [config.choice() for config in stage_configs]
    others = ["a search"] if searches else []
    others += ["--budget"] if run.budget is not None else []
    others += [choice.words for choice in choices if choice is not None]
    if others:
        where = f" (the search is {_switch(searches[0])})" if searches else ""
        raise InputError(
            f"--setting and {others[0]} contradict each other: the file says what stays of each "
            f"layer. Leave one out{where}."
        )
    pairs = zip(entries, stage_configs, strict=True)
    quantities = [entry.quantity for entry, config in pairs if config.takes_setting()]
    if not quantities:
        raise InputError("--setting has no effect on learners that do not choose for each layer.")
    return read_setting(str(run.setting), str(quantities[0]))
