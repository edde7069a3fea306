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
from pipeline.folders import own_folders
from pipeline.plan import check_saved, make_plan
from pipeline.short_form import PEEKED, expanded, is_short_form
from utils import flags
from utils.command import guarded, notes, out
from utils.export.quiet import quiet_native
from utils.folders import own_temporary_place
from utils.multi_gpu_wrapper import MultiGpuWrapper
from utils.one_voice import one_voice

_OF_ALL_HELPERS = frozenset(spec.name for spec in flags.describe(HelperConfig))


def run(argv: Sequence[str]) -> int:
    """Do what the arguments say.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status: 0, or 2 for bad input (with one line on standard error); see
        `utils.command.guarded`.
    """

    def together() -> int:
        with one_voice():
            return _run(argv)

    return guarded(together, argv)


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
    stage_classes = [learners.config_class(name) for name in names]
    name = str(chosen["model_helper"])
    if not is_short and name not in nets.HELPERS:
        _check_before(argv, stage_classes, name)
    helper_class = NetworkOnData if is_short else nets.load_helper_class(name)
    classes: list[type] = [RunConfig, helper_class.config_class, *stage_classes]
    parsed = flags.parse(argv, list(dict.fromkeys(classes)), _flags_elsewhere())
    configs = parsed.configs
    run_config = configs[RunConfig]
    if is_short:  # the report is named after the network
        file = pathlib.Path(configs[helper_class.config_class].model)
        run_config = dataclasses.replace(run_config, model_helper=file.name)
    MultiGpuWrapper.check(run_config.enbl_multi_gpu)
    own_weights = configs[helper_class.config_class].weights_file
    if run_config.pretrained_path is None and own_weights is not None:
        run_config = dataclasses.replace(run_config, pretrained_path=own_weights)
    plan = make_plan(run_config, [configs[cls] for cls in stage_classes])
    check_saved(plan)
    for notice in (*parsed.notices, *plan.notices):
        notes.print(f"note: {notice}", markup=False)
    helper = helper_class(configs[helper_class.config_class], seed=plan.run.seed)
    helper.allow_unsafe = plan.run.allow_unsafe
    helper.check_files()
    with own_folders(plan), own_temporary_place():
        with quiet_native():  # TensorFlow greets on standard error whatever its log level
            from pipeline import stages  # only now are its seconds worth it

        stages.execute(plan, helper, command=["main.py", *argv])
    return 0


def _check_before(argv: Sequence[str], stage_classes: Sequence[type], helper: str) -> None:
    """Refuse what is wrong whatever a user's helper is: its file may import TensorFlow for seconds.

    Flags that the helper declares itself are left to the check that follows.
    """
    path = nets.helper_path(helper)
    classes = list(dict.fromkeys([RunConfig, HelperConfig, *stage_classes]))
    helpers = [nets.load_helper_class(name).config_class for name in nets.HELPERS]
    of_helpers = {spec.name for cls in helpers for spec in flags.describe(cls)}
    passes = nets.may_declare(path, of_helpers)
    parsed = flags.parse(argv, classes, _flags_elsewhere(), passes=passes)
    make_plan(parsed.configs[RunConfig], [parsed.configs[cls] for cls in stage_classes])


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
