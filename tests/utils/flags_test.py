import dataclasses
import pathlib
import subprocess
import sys
from typing import ClassVar

import pytest

from utils import flags
from utils.errors import InputError
from utils.flags import flag, group

ROOT = pathlib.Path(flags.__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """Nested without a prefix of its own: its flags carry the outer one."""

    nb_rlouts: int = flag(200, "Rollouts.", lower=1, unit="rollouts")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agent:
    """Nested with its own prefix."""

    PREFIX: ClassVar[str] = "ddpg_"
    gamma: float = flag(0.9, "Discount.", lower=0.0, upper=1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One field of each kind."""

    PREFIX: ClassVar[str] = "ws_"
    prune_ratio: float = flag(
        0.75, "Fraction removed.", lower=0.0, upper=1.0, upper_open=True, hint="1 leaves nothing."
    )
    rate: float = flag(0.1, "A rate.", lower=0.0, lower_open=True)
    kind: str = flag("a", "A kind.", choices=("a", "b"))
    path: str | None = flag(None, "A path | or none.", path=True)
    steps: int = flag(3, "Steps.", aliases=("ws_nb_steps", "ws_count"))
    quick: bool = flag(False, "Quick?")
    old: int = flag(1, "Old.", inert="nothing depends on it.")
    search: Search = group(Search)
    agent: Agent = group(Agent)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Flags without a prefix."""

    seed: int = flag(0, "Seed.", lower=0, upper=2**31 - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Teaching:
    """Flags that need another one, or stand in each other's way."""

    teach: bool = flag(False, "Teach?")
    weight: float = flag(4.0, "Weight of the teacher.", needs=("teach", "a teacher"))
    share: float = flag(0.5, "Share.", rivals=("budget",))
    budget: str | None = flag(None, "Budget.")
    log_every: int = flag(10, "Steps between lines.", resumable=True)
    shown: Search = group(Search, resumable=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choosing:
    """Flags that need a value of another one."""

    how: str = flag("search", "How?", choices=("search", "list"))
    rollouts: int = flag(9, "Roll-outs.", only_with=("how", "search"))
    file: str = flag("a.list", "The list.", only_with=("how", "list"))


def parse(*argv, foreign=None):
    return flags.parse(argv, [Run, Config], foreign)


def test_names_and_paths():
    specs = {spec.name: spec for spec in flags.describe(Config)}
    assert list(specs) == [
        "ws_prune_ratio",
        "ws_rate",
        "ws_kind",
        "ws_path",
        "ws_steps",
        "ws_quick",
        "ws_old",
        "ws_nb_rlouts",
        "ddpg_gamma",
    ]
    assert specs["ddpg_gamma"].path == ("agent", "gamma")
    assert (specs["ws_path"].type, specs["ws_path"].optional) == (str, True)
    assert (specs["ws_rate"].type, specs["ws_rate"].optional) == (float, False)


def test_defaults_without_arguments():
    parsed = parse()
    assert parsed.configs == {Run: Run(), Config: Config()}
    assert (parsed.given, parsed.notices) == (frozenset(), ())


def test_both_spellings_and_every_type():
    config = parse(
        "--ws_prune_ratio=0.5", "--ws_kind", "b", "--ws_path=x=y", "--ws_quick", "--ws_nb_rlouts",
        "7", "--ddpg_gamma=1", "--seed", "5",
    ).configs  # fmt: skip
    assert config[Run] == Run(seed=5)
    assert config[Config] == Config(
        prune_ratio=0.5,
        kind="b",
        path="x=y",
        quick=True,
        search=Search(nb_rlouts=7),
        agent=Agent(gamma=1.0),
    )


@pytest.mark.parametrize(
    ("argument", "value"),
    [("--ws_quick=True", True), ("--ws_quick=false", False), ("--nows_quick", False)],
)
def test_truth_values(argument, value):
    assert parse(argument).configs[Config].quick is value


def test_the_last_of_two_counts():
    assert parse("--seed=1", "--seed=2").configs[Run].seed == 2


@pytest.mark.parametrize("alias", ["ws_nb_steps", "ws_count"])
def test_alias_means_the_same(alias):
    parsed = parse(f"--{alias}=9")
    assert parsed.configs[Config].steps == 9
    assert parsed.given == {"ws_steps"}


def test_alias_with_a_bad_value_names_the_flag_it_means():
    with pytest.raises(InputError, match=r"`ws_steps` must be an integer. Received: 'x'."):
        parse("--ws_count=x")


def test_given_and_inert():
    parsed = parse("--ws_old=1", "--seed=0")
    assert parsed.given == {"ws_old", "seed"}
    assert parsed.notices == ("--ws_old has no effect: nothing depends on it.",)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--ws_prune_ratio=1"], r"`ws_prune_ratio` must be in \[0, 1\). Received: 1.0. 1 leaves"),
        (["--ws_prune_ratio=-1e-9"], r"in \[0, 1\). Received: -1e-09."),
        (["--ws_prune_ratio=nan"], r"in \[0, 1\). Received: nan."),
        (["--ws_prune_ratio=a:b"], r"in \[0, 1\). Received: 'a:b'."),
        (["--ws_rate=0"], r"`ws_rate` must be in \(0, inf\). Received: 0.0."),
        (["--ws_rate=inf"], r"`ws_rate` must be in \(0, inf\). Received: inf."),
        (["--ddpg_gamma=1.01"], r"`ddpg_gamma` must be in \[0, 1\]. Received: 1.01."),
        (["--ws_kind=c"], r"`ws_kind` must be one of 'a', 'b'. Received: 'c'."),
        (["--ws_steps=1.5"], r"`ws_steps` must be an integer. Received: '1.5'."),
        (["--ws_nb_rlouts=0"], r"`ws_nb_rlouts` must be in \[1, inf\). Received: 0."),
        (["--seed=2147483648"], r"`seed` must be in \[0, 2147483647\]. Received: 2147483648."),
        (["--ws_quick=maybe"], r"`ws_quick` must be True or False. Received: 'maybe'."),
        (["--seed="], r"`seed` must be in \[0, 2147483647\]. Received: ''."),
        (["--seed"], r"Missing value for flag --seed.* See --help"),
        (
            ["--ws_path", "--seed=1"],
            r"Missing value for flag --ws_path \('--seed=1' behind it is a",
        ),
        (["--ws_path="], r"`ws_path` must be a path. Received: ''."),
        (["7"], r"Unexpected argument '7': every option is written --flag=value"),
        (["--", "--seed=1"], r"Unexpected argument '--seed=1'"),
        (["--ws_prune_ration=0.5"], r"Unknown flag --ws_prune_ration. Did you mean --ws_prune_ra"),
        (["--xyzzy"], r"^Unknown flag --xyzzy. See --help=all for every flag that applies.$"),
        (["--flagfile=none.flags"], r"none.flags: cannot be read: No such file"),
    ],
)
def test_refusals(argv, message):
    with pytest.raises(InputError, match=message):
        parse(*argv)


def test_flags_of_others():
    foreign = {"cpr_prune_ratio": "it belongs to --learner=chn-pruned-rmt."}
    with pytest.raises(
        InputError, match=r"^Flag --cpr_prune_ratio does not apply: it belongs to --learner=chn-"
    ):
        parse("--cpr_prune_ratio=0.5", foreign=foreign)
    with pytest.raises(InputError, match=r"Did you mean --cpr_prune_ratio\?"):
        parse("--cpr_prune_rati=0.5", foreign=foreign)


def test_lists_with_spaces():
    assert parse("--ws_path=a,", "b").configs[Config].path == "a,b"
    assert flags.peek(["--learner", "a,", "b", "--seed"], {"learner": ""}) == {"learner": "a,b"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--weight=4"], r"^`weight` has no effect without a teacher. Received: 4.0. Add --teach,"),
        (["--weight=2", "--teach=False"], r"`weight` has no effect without a teacher"),
        (["--share=0.5", "--budget=x"], r"^--share=0.5 and --budget=x contradict each other: each"),
    ],
)
def test_flags_that_do_not_go_together(argv, message):
    with pytest.raises(InputError, match=message):
        flags.parse(argv, [Teaching])
    values = {"weight": 4.0} if "weight" in message else {"share": 0.5, "budget": "x"}
    with pytest.raises(InputError):
        flags.build_all([Teaching], values)


def test_flags_in_good_company():
    for argv in ([], ["--weight=1", "--teach"], ["--share=0.1"], ["--budget=x", "--teach"]):
        flags.parse(argv, [Teaching])
    configs = flags.build_all([Run, Teaching], {"seed": 3, "share": 0.25, "budget": None})
    assert configs == {Run: Run(seed=3), Teaching: Teaching(share=0.25)}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--file=b"], r"^`file` has no effect with --how=search. Received: b. Give --how=list,"),
        (["--how=list", "--rollouts=3"], r"^`rollouts` has no effect with --how=list. Received"),
    ],
)
def test_flags_of_another_choice(argv, message):
    with pytest.raises(InputError, match=message):
        flags.parse(argv, [Choosing])


def test_flags_of_the_choice_that_was_made():
    assert flags.parse(["--rollouts=3"], [Choosing]).configs[Choosing] == Choosing(rollouts=3)
    configs = flags.build_all([Choosing], {"how": "list", "file": "b"})
    assert configs[Choosing] == Choosing(how="list", file="b")


def test_what_a_resumed_run_may_change():
    assert set(flags.decisive_values(Teaching())) == {"teach", "weight", "share", "budget"}
    others = {"ws_path", "ws_old"}  # a path and a flag without effect
    assert set(flags.flag_values(Config())) - set(flags.decisive_values(Config())) == others


def test_flag_files(tmp_path):
    (tmp_path / "run.flags").write_text("--seed=4\n# a comment\n--ws_kind=b\n")
    configs = parse(f"--flagfile={tmp_path}/run.flags").configs
    assert (configs[Run].seed, configs[Config].kind) == (4, "b")


def test_build_takes_what_is_there():
    config = flags.build(Config, {"ws_steps": 8, "ddpg_gamma": 0.5, "seed": 1})
    assert config == Config(steps=8, agent=Agent(gamma=0.5))
    assert flags.flag_values(config)["ws_steps"] == 8
    assert flags.build(Config, flags.flag_values(config)) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ws_prune_ratio": "0.5"}, r"`ws_prune_ratio` must be in \[0, 1\). Received: '0.5'."),
        ({"ws_prune_ratio": True}, r"Received: True."),
        ({"ws_steps": 2.0}, r"`ws_steps` must be an integer. Received: 2.0."),
        ({"ws_quick": 1}, r"`ws_quick` must be True or False. Received: 1."),
        ({"ws_kind": None}, r"`ws_kind` must be one of 'a', 'b'. Received: None."),
    ],
)
def test_build_checks_types(values, message):
    with pytest.raises(InputError, match=message):
        flags.build(Config, values)


def test_whole_numbers_pass_as_floats():
    assert flags.build(Config, {"ws_prune_ratio": 0}).prune_ratio == 0


def test_validate_reaches_nested_configs():
    with pytest.raises(InputError, match=r"`ddpg_gamma`.*Received: 3"):
        flags.validate(Config(agent=Agent(gamma=3.0)))
    flags.validate(Config())


def test_peek_reads_only_what_it_knows():
    argv = ["--whatever=1", "--learner", "x", "--seed=nonsense", "--other"]
    assert flags.peek(argv, {"learner": "a", "model_helper": "b"}) == {
        "learner": "x",
        "model_helper": "b",
    }


def test_peek_refuses_a_missing_value():
    with pytest.raises(InputError, match=r"learner.* See --help"):
        flags.peek(["--learner"], {"learner": "a"})


def test_a_class_switches_flags_on():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Outer:
        on: bool = flag(False, "A switch.")
        strength: float = flag(1.0, "Of it.", needs=("on", "the switch"))

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Switching:
        SWITCHES_ON: ClassVar[tuple[str, ...]] = ("on",)

    assert flags.switched_on([Outer]) == {}
    with pytest.raises(InputError, match="without the switch"):
        flags.build_all([Outer], {"strength": 2.0})
    assert flags.build_all([Outer, Switching], {"strength": 2.0})[Outer].on
    assert not flags.build_all([Outer, Switching], {"on": False})[Outer].on

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Implying:
        IMPLIED: ClassVar[tuple[str, ...]] = ("on",)

    assert not flags.build_all([Outer, Implying], {})[Outer].on
    assert flags.build_all([Outer, Implying], {"strength": 2.0})[Outer].on
    with pytest.raises(InputError, match="without the switch"):
        flags.build_all([Outer, Implying], {"strength": 2.0, "on": False})


def test_nearest():
    assert flags.nearest("lasso_", ["lasso", "ridge"]) == (
        "Did you mean 'lasso'? Valid: lasso, ridge."
    )
    assert flags.nearest("zzz", ["b", "a"]) == "Valid: a, b."


def test_tensorflow_stays_out():
    code = "import sys, utils.flags; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
