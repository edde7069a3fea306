import pathlib
import subprocess
import sys

import pytest

from learners import LEARNERS, config_class
from learners.config import RunConfig
from learners.full_precision.config import FullPrecConfig
from learners.search.checks import check_search
from learners.setting import Setting
from utils import flags
from utils.errors import InputError

ROOT = pathlib.Path(__file__).parents[3]


def check(run=None, learner=None, name="chn-pruned-rmt"):
    run = flags.build(RunConfig, run or {})
    config = flags.build(config_class(name), learner or {})
    return check_search(run, [LEARNERS[name]], [config])


def test_without_search_or_setting_there_is_nothing_to_check():
    assert check() is None
    assert check_search(RunConfig(), [LEARNERS["full-prec"]], [FullPrecConfig()]) is None


def test_a_search_with_a_budget_is_accepted():
    searching = {"cpr_search": True}
    assert check({"budget": "flops:0.5", "agent": "tpe", "search_minutes": 3.0}, searching) is None
    assert check({"budget": "flops:0.5"}, searching | {"cpr_nb_rlouts": 10}) is None
    assert check({"budget": "flops:0.5", "enbl_multi_gpu": True}, searching) is None


@pytest.mark.parametrize(
    ("run", "learner", "message"),
    [
        ({}, {"cpr_search": True}, "--cpr_search needs a budget"),
        ({"agent": "tpe"}, {}, "--agent has no effect without a search"),
        ({"search_minutes": 1.0}, {}, "--search_minutes has no effect without a search"),
        (
            {"budget": "flops:0.5"},
            {"cpr_search": True, "cpr_warm_start": True},
            "--cpr_search and --cpr_warm_start contradict",
        ),
        (
            {"budget": "flops:0.5"},
            {"cpr_search": True, "cpr_nb_rlouts": 10, "cpr_nb_rlouts_min": 20},
            r"`cpr_nb_rlouts_min` must not exceed `cpr_nb_rlouts` \(10\). Received: 20",
        ),
        (
            {"budget": "flops:0.5"},
            {"cpr_search": True, "cpr_reward_type": "multi-obj"},
            "`cpr_reward_policy` accuracy leaves the cost out",
        ),
        (
            {"budget": "flops:0.5", "agent": "greedy"},
            {
                "cpr_search": True,
                "cpr_reward_type": "multi-obj",
                "cpr_reward_policy": "flops",
            },
            "--agent=greedy always uses it up",
        ),
        (
            {"budget": "flops:0.5", "agent": "dp"},
            {
                "cpr_search": True,
                "cpr_reward_type": "multi-obj",
                "cpr_reward_policy": "flops",
            },
            "--agent=dp always uses it up",
        ),
    ],
)
def test_contradictions_are_refused(run, learner, message):
    with pytest.raises(InputError, match=message):
        check(run, learner)


def test_a_learner_may_switch_its_search_on_otherwise_and_bring_a_budget():
    assert check({"agent": "dp"}, {"cp_prune_option": "auto"}, "channel") is None
    with pytest.raises(InputError, match=r"Switch one on \(--cp_prune_option=auto\), or leave"):
        check({"agent": "dp"}, {"cp_prune_option": "uniform"}, "channel")


@pytest.mark.parametrize(
    ("name", "learner", "words"),
    [
        ("chn-pruned-rmt", {"cpr_warm_start": True}, "--cpr_warm_start .*: a warm start"),
        ("channel", {"cp_prune_option": "list"}, "--cp_prune_option=list .*: a list"),
    ],
)
def test_a_budget_for_a_choice_that_is_made_is_refused(name, learner, words):
    with pytest.raises(InputError, match=rf"^--budget and {words} says what stays"):
        check({"budget": "flops:0.5"}, learner, name)


def test_a_budget_may_be_another_stages():
    run = flags.build(RunConfig, {"budget": "flops:0.5"})
    configs = [
        flags.build(config_class("channel"), {"cp_prune_option": "list"}),
        flags.build(config_class("chn-pruned-rmt"), {}),
    ]
    rows = [LEARNERS["channel"], LEARNERS["chn-pruned-rmt"]]
    assert check_search(run, rows, configs) is None


def test_unknown_agents_are_refused_with_the_list():
    with pytest.raises(InputError, match="`agent` must be one of 'dp', 'greedy', 'ddpg'"):
        flags.build(RunConfig, {"agent": "sgd"})


@pytest.fixture
def path(tmp_path):
    setting = Setting(quantity="channels", network={"conv": 8}, values={"conv": 4})
    setting.save(tmp_path / "ratios.json")
    return str(tmp_path / "ratios.json")


def test_a_setting_is_read(path):
    assert check({"setting": path}).values == {"conv": 4}


@pytest.mark.parametrize(
    ("run", "learner", "other"),
    [
        ({"budget": "flops:0.5"}, {"cpr_search": True}, "a search"),
        ({"budget": "flops:0.5"}, {}, "--budget"),
        ({}, {"cpr_warm_start": True}, "a warm start"),
    ],
)
def test_a_setting_stands_alone(path, run, learner, other):
    with pytest.raises(InputError, match=f"--setting and {other} contradict each other"):
        check({"setting": path, **run}, learner)


def test_a_setting_beside_a_search_says_which_flag_that_is(path):
    said = (
        r"Leave one out \(the search is --cp_prune_option=auto, the default: give another value\)"
    )
    with pytest.raises(InputError, match=said):
        check({"setting": path}, {}, "channel")
    assert check({"setting": path}, {"cp_prune_option": "uniform"}, "channel").values


def test_a_setting_needs_a_learner_that_chooses(path):
    with pytest.raises(InputError, match="--setting has no effect on learners that do not choose"):
        run = flags.build(RunConfig, {"setting": path})
        check_search(run, [LEARNERS["full-prec"]], [FullPrecConfig()])


def test_the_command_line_refuses_them_with_one_line_before_tensorflow():
    code = (
        "import sys, main\n"
        "status = main.run(['--learner=full-prec,chn-pruned-rmt', '--cpr_search'])\n"
        "assert 'tensorflow' not in sys.modules\n"
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: --cpr_search needs a budget")
    assert len(done.stderr.strip().splitlines()) == 1
