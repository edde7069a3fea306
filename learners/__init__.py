"""The learners: one literal table, flag name -> where it lives; loaded only when chosen.

A new learner is a folder `learners/<method>/` with `config.py` (a frozen dataclass, see
`utils/flags.py`) and `learner.py`, one row in `LEARNERS` and a page in `docs/`; the contract tests
take it up from the table.
"""

import importlib
from typing import Any, NamedTuple

from utils.errors import InputError
from utils.flags import nearest


class Entry(NamedTuple):
    """One learner of the table.

    Attributes:
        learner: where its class lives, as `module:Class`.
        config: where its config class lives.
        summary: for `--help`.
        compresses: False for a learner that leaves the network's size alone. The first one that
            compresses marks where "before" is measured and what the teacher is.
    """

    learner: str
    config: str
    summary: str
    compresses: bool = True


LEARNERS: dict[str, Entry] = {
    "full-prec": Entry(
        "learners.full_precision.learner:FullPrecLearner",
        "learners.full_precision.config:FullPrecConfig",
        "trains the network as it is",
        compresses=False,
    ),
    "chn-pruned-rmt": Entry(
        "learners.channel_pruning_rmt.learner:ChannelPrunedRmtLearner",
        "learners.channel_pruning_rmt.config:ChannelPrunedRmtConfig",
        "cuts channels by reconstruction and least squares, then fine-tunes",
    ),
}

ALIASES = {"channel-pruned-rmt": "chn-pruned-rmt"}


def canonical_name(name: str) -> str:
    """Give the table's name for a learner, old and new spellings alike.

    Raises:
        InputError: for an unknown name; lists the valid ones.
    """
    name = ALIASES.get(name, name)
    if name not in LEARNERS:
        valid = nearest(name, [*LEARNERS, *ALIASES])
        raise InputError(f"Unknown learner {name!r} in --learner. {valid}")
    return name


def load_class(reference: str) -> Any:
    """Import `module:Class`."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def config_class(name: str) -> type:
    """Give a learner's config class without importing the learner (or TensorFlow)."""
    return load_class(LEARNERS[canonical_name(name)].config)


def learner_class(name: str) -> type:
    """Give a learner's class."""
    return load_class(LEARNERS[canonical_name(name)].learner)
