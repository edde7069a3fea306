"""What the command says of itself."""

import re
import tomllib
from pathlib import Path

import learners
import main
import nets
from datasets import DATASETS
from learners.config import RunConfig
from nets.config import NetworkOnDataConfig
from pipeline import help_pages
from utils.flags import describe

ROOT = Path(main.__file__).parent
ALL = help_pages.all_flags(
    {"Network and data": NetworkOnDataConfig},
    {name: learners.config_class(name) for name in learners.LEARNERS},
)


def test_the_short_page_is_short_and_names_ten_flags_that_exist():
    lines = help_pages.PAGE.splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 100
    flags = re.findall(r"^  --(\w+) ", help_pages.PAGE, re.M)
    known = {s.name for cls in (RunConfig, NetworkOnDataConfig) for s in describe(cls)}
    assert len(flags) == len(set(flags)) == 10
    assert set(flags) <= known
    assert len(re.findall(r"^  python main.py ", help_pages.PAGE, re.M)) == 5
    assert all(name in help_pages.PAGE for name in DATASETS)


def test_answers():
    assert "python main.py --model=" in help_pages.short_answer([])
    assert len(help_pages.short_answer([]).splitlines()) <= 8
    assert help_pages.short_answer(["--learner=x", "-h"]) == help_pages.PAGE
    assert help_pages.short_answer(["--help=all", "-h"]) is None
    assert help_pages.short_answer(["--seed=1"]) is None
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert help_pages.short_answer(["--version"]) == f"Flowpress {declared}"


def test_all_flags_are_listed_once_and_those_without_effect_last():
    classes = [RunConfig, NetworkOnDataConfig, *map(learners.config_class, learners.LEARNERS)]
    specs = {spec.name: spec for cls in classes for spec in describe(cls)}
    listed = re.findall(r"^  --(\w+)  ", ALL, re.M)
    assert sorted(listed) == sorted(specs)
    idle = [bool(specs[name].info.inert) for name in listed]
    assert idle == sorted(idle)
    assert all(f"  {name} " in ALL for name in learners.LEARNERS)
    assert all(f"  {name}\n" in ALL for name in nets.HELPERS)
