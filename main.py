"""Flowpress from the command line: `python main.py --learner=… --model_helper=… [--flag=value …]`.

Reads the flags, settles what will be done and where, and hands over; all of that before TensorFlow
is imported, so that a mistyped flag costs no time. Works alone and under `horovodrun`.
"""

import sys
from collections.abc import Sequence

import learners
import nets
from learners.config import RunConfig
from pipeline.plan import make_plan
from utils import flag_texts, flags
from utils.command import guarded, notes, out
from utils.export.quiet import quiet_native


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
    defaults = {spec.name: spec.default for spec in flags.describe(RunConfig)}
    chosen = flags.peek(argv, {name: defaults[name] for name in ("learner", "model_helper")})
    names = learners.canonical_names(str(chosen["learner"]))
    helper_class = nets.load_helper_class(str(chosen["model_helper"]))
    stage_classes = [learners.config_class(name) for name in names]
    classes: list[type] = [RunConfig, helper_class.config_class, *stage_classes]
    if any(arg in ("--help", "-h", "--helpfull") for arg in argv):
        helper_name = str(chosen["model_helper"])
        text = _help(names, helper_name, helper_class.config_class, stage_classes)
        out.print(text, markup=False)
        return 0
    parsed = flags.parse(argv, list(dict.fromkeys(classes)), _flags_elsewhere())
    configs = parsed.configs
    plan = make_plan(configs[RunConfig], [configs[cls] for cls in stage_classes])
    for notice in (*parsed.notices, *plan.notices):
        notes.print(f"note: {notice}", markup=False)
    helper = helper_class(configs[helper_class.config_class], seed=plan.run.seed)
    helper.check_files()
    with quiet_native():  # TensorFlow greets on standard error whatever its log level
        from pipeline import stages  # only now are its seconds worth it

    stages.execute(plan, helper, command=["main.py", *argv])
    return 0


def _help(
    names: Sequence[str], helper_name: str, helper_config: type, stage_classes: Sequence[type]
) -> str:
    table = [f"  {name:16} {entry.summary}" for name, entry in learners.LEARNERS.items()]
    sections: dict[str, Sequence[type]] = {"Every run": [RunConfig]}
    sections[f"Network and data: {helper_name}"] = [helper_config]
    for name, config_class in zip(names, stage_classes, strict=True):
        if flags.describe(config_class):
            sections[f"Learner: {name}"] = [config_class]
    head = ["Learners (--learner=…):", *table, "", "Networks (--model_helper=…):"]
    head += [f"  {name}" for name in nets.HELPERS] + ["  path/to/your_own.py", ""]
    return "\n".join(head) + "\n" + flag_texts.help_text(sections)


def _flags_elsewhere() -> dict[str, str]:
    """Say of every flag that exists where it applies, for those that do not apply here."""
    owners: dict[str, str] = {}
    for name in nets.HELPERS:
        for spec in flags.describe(nets.load_helper_class(name).config_class):
            owners.setdefault(spec.name, f"it belongs to --model_helper={name}.")
    for name in learners.LEARNERS:
        for spec in flags.describe(learners.config_class(name)):
            owners.setdefault(spec.name, f"it belongs to --learner={name}.")
    return owners


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
