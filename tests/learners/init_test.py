import dataclasses
import pathlib
import subprocess
import sys

import pytest

import learners
from learners.base import AbstractLearner
from utils import flags
from utils.errors import InputError


@pytest.mark.parametrize("name", learners.LEARNERS)
def test_every_entry_loads(name):
    learner_class, config_class = learners.learner_class(name), learners.config_class(name)
    assert issubclass(learner_class, AbstractLearner)
    assert dataclasses.is_dataclass(config_class)
    assert flags.build(config_class, {}) == config_class()
    assert learners.LEARNERS[name].summary[0].islower()


def test_no_flag_is_declared_twice():
    names = [
        spec.name
        for name in learners.LEARNERS
        for spec in flags.describe(learners.config_class(name))
    ]
    assert len(names) == len(set(names))


def test_old_and_new_spelling():
    assert learners.canonical_name("channel-pruned-rmt") == "chn-pruned-rmt"
    assert learners.canonical_name("full-prec") == "full-prec"
    assert learners.learner_class("channel-pruned-rmt") is learners.learner_class("chn-pruned-rmt")
    assert learners.canonical_name("channel-pruned") == "channel"
    assert learners.canonical_name("channel-pruned-gpu") == "chn-pruned-gpu"
    assert set(learners.ALIASES.values()) <= set(learners.LEARNERS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chn-prune-rmt", r"Unknown learner 'chn-prune-rmt' in --learner. Did you mean 'chn-pru"),
        ("", r"Unknown learner '' in --learner. Valid: .*full-prec"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(InputError, match=message):
        learners.canonical_name(name)


def test_configs_load_without_tensorflow():
    code = (
        "import sys, learners, pipeline.plan, learners.config\n"
        "for name in learners.LEARNERS: learners.config_class(name)\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    root = pathlib.Path(learners.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
