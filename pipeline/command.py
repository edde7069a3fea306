"""The command line: flags in, a run out; all that can be refused is, before TensorFlow is there."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import learners
import nets
from learners.config import RunConfig
from nets.config import HelperConfig
from nets.network_on_data import ModelHelper as NetworkOnData
from pipeline import help_pages
from pipeline.plan import make_plan
from pipeline.short_form import PEEKED, expanded, is_short_form
from utils import flags
from utils.command import guarded, notes, out
from utils.export.quiet import quiet_native

_OF_ALL_HELPERS = frozenset(spec.name for spec in flags.describe(HelperConfig))


def run(argv: Sequence[str]) -> int:
    """Do what the arguments say.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status: 0, or 2 for bad input (with one line on standard error); see
        `utils.command.guarded`.
    """
    return guarded(lambda: _run(argv), argv)


def _run(argv: Sequence[str]) -> int:
    text = help_pages.short_answer(argv)
    if text is not None:
        out.print(text, markup=False, soft_wrap=True)
        return 0
    chosen = flags.peek(argv, dict.fromkeys(PEEKED))
    if help_pages.is_asked(argv):
        out.print(_all_flags(chosen), markup=False, soft_wrap=True)
        return 0
    is_short = is_short_form(chosen)
    if is_short:
        argv = expanded(argv, chosen)
    defaults = {spec.name: spec.default for spec in flags.describe(RunConfig)}
    chosen = flags.peek(argv, {name: defaults[name] for name in ("learner", "model_helper")})
    names = learners.canonical_names(str(chosen["learner"]))
    helper_class = (
        NetworkOnData if is_short else nets.load_helper_class(str(chosen["model_helper"]))
    )
    stage_classes = [learners.config_class(name) for name in names]
    classes: list[type] = [RunConfig, helper_class.config_class, *stage_classes]
    parsed = flags.parse(argv, list(dict.fromkeys(classes)), _flags_elsewhere())
    configs = parsed.configs
    run_config = configs[RunConfig]
    if is_short:  # the report is named after the network
        file = pathlib.Path(configs[helper_class.config_class].model)
        run_config = dataclasses.replace(run_config, model_helper=file.name)
    own_weights = configs[helper_class.config_class].weights_file
    if run_config.pretrained_path is None and own_weights is not None:
        run_config = dataclasses.replace(run_config, pretrained_path=own_weights)
    plan = make_plan(run_config, [configs[cls] for cls in stage_classes])
    for notice in (*parsed.notices, *plan.notices):
        notes.print(f"note: {notice}", markup=False)
    helper = helper_class(configs[helper_class.config_class], seed=plan.run.seed)
    helper.allow_unsafe = plan.run.allow_unsafe
    helper.check_files()
    with quiet_native():  # TensorFlow greets on standard error whatever its log level
        from pipeline import stages  # only now are its seconds worth it

    stages.execute(plan, helper, command=["main.py", *argv])
    return 0


def _all_flags(chosen: Mapping[str, str | None]) -> str:
    """List the flags: of the helper and the learners that were named, else of all learners."""
    helper = chosen["model_helper"]
    helper_class = NetworkOnData if helper is None else nets.load_helper_class(helper)
    asked = chosen["learner"]
    names = [*learners.LEARNERS] if asked is None else learners.canonical_names(asked)
    return help_pages.all_flags(
        {f"Network and data: {helper or '--model and --data'}": helper_class.config_class},
        {f"Learner: {name}": learners.config_class(name) for name in names},
    )


def _flags_elsewhere() -> dict[str, str]:
    """Say of every flag that exists where it applies, for those that do not apply here."""
    owners: dict[str, str] = {}
    for spec in flags.describe(NetworkOnData.config_class):
        if spec.name not in _OF_ALL_HELPERS:
            owners[spec.name] = "it belongs to --model=net.keras --data=DATA."
    for name in nets.HELPERS:
        for spec in flags.describe(nets.load_helper_class(name).config_class):
            owners.setdefault(spec.name, f"it belongs to --model_helper={name}.")
    for name in learners.LEARNERS:
        for spec in flags.describe(learners.config_class(name)):
            owners.setdefault(spec.name, f"it belongs to --learner={name}.")
    return owners
