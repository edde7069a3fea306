"""`--model=net.keras --data=DATA` in the words that every run has."""

import pathlib
import re
from collections.abc import Mapping, Sequence

import learners
import nets
from learners.budget import parse_budget
from nets.network_file import check_network
from utils import flags
from utils.errors import InputError

PEEKED = (
    "learner",
    "model_helper",
    "model",
    "data",
    "budget",
    "pretrained_path",
    "out_dir",
    "save_path",
    "save_path_eval",
)
"""Flags that `expanded` looks at."""


def is_short_form(chosen: Mapping[str, str | None]) -> bool:
    """Whether a command names a network's file or data, not a helper; some helpers take data."""
    if chosen["model"] is not None or chosen["data"] is None:
        return chosen["model"] is not None
    helper = chosen["model_helper"]
    return helper is None or "data" not in {
        spec.name for spec in flags.describe(nets.load_helper_class(helper).config_class)
    }


def expanded(argv: Sequence[str], chosen: Mapping[str, str | None]) -> list[str]:
    """Add the flags that a command with `--model` and `--data` leaves out.

    Args:
        argv: the arguments.
        chosen: what was given of `PEEKED`; None for what was not.

    Returns:
        The arguments and what they lack: the learner (channels are cut, or what the budget speaks
        of), the weights (the network's own), the folder (below `runs`, by network and budget).

    Raises:
        InputError: for one of the two without the other or beside a helper, a network's file that
            does not exist or of another kind, a budget that cannot be read.
    """
    model, data = chosen["model"], chosen["data"]
    if chosen["model_helper"] is not None:
        raise InputError(
            f"--model_helper={chosen['model_helper']} brings network and data along. Leave it out, "
            "or --model and --data; weights for a helper's network are given as --pretrained_path."
        )
    if model is None:
        raise InputError(f"--data={data} needs a network. Give --model=net.keras.")
    if data is None:
        raise InputError(
            f"--model={model} needs data. Give --data=FOLDER, with a sub-folder of images per "
            "class, or another form, see docs/your_data.md."
        )
    check_network(model)
    added = {
        "learner": learner_for(chosen["budget"]),
        "pretrained_path": model,
        "out_dir": _folder(model, chosen["budget"]),
    }
    if chosen["save_path"] is not None or chosen["save_path_eval"] is not None:
        del added["out_dir"]
    return [*argv, *(f"--{name}={value}" for name, value in added.items() if chosen[name] is None)]


def learner_for(budget: str | None) -> str:
    """Choose the learner where none is named: one that can meet the budget.

    Example:
        >>> learner_for(None), learner_for("flops:0.5"), learner_for("bits:4")
        ('chn-pruned-rmt', 'chn-pruned-rmt', 'uniform')
    """
    kinds = set() if budget is None else {limit.kind for limit in parse_budget(budget).limits}
    able = (name for name, entry in learners.LEARNERS.items() if kinds <= {*entry.budgets})
    usual = learners.COMPRESSOR
    if kinds <= {*learners.LEARNERS[usual].budgets}:
        return usual
    return next(able, usual)


def _folder(model: str, budget: str | None) -> str:
    """Name a folder by network and budget, in letters that every file system takes."""
    words = [pathlib.Path(model).stem, *([] if budget is None else [budget])]
    return "runs/" + "_".join(re.sub(r"[^\w.-]+", "_", word) for word in words)
