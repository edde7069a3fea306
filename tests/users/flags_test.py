"""Flags that do not go together, or lack something: refused by name, with what to write."""

import dataclasses
import pathlib

import pytest

import learners
from learners.config import RunConfig
from tests.users.small import BOTH, last_line, run, write_helper
from utils import flags

PRUNE = "--learner=chn-pruned-rmt"


@pytest.fixture(autouse=True)
def helper(folder):
    write_helper()
    pathlib.Path("ratios.json").write_text("{}")


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (
            [*BOTH, "--budget=flops:0.5", "--cpr_prune_ratio=0.7"],
            "--cpr_prune_ratio=0.7 and --budget=flops:0.5 contradict each other: each says alone "
            "how much stays. Leave one out.",
        ),
        (
            [*BOTH, "--setting=ratios.json", "--cpr_prune_ratio=0.5"],
            "--cpr_prune_ratio=0.5 and --setting=ratios.json contradict each other: ",
        ),
        (
            [*BOTH, "--loss_w_dst=4"],
            "`loss_w_dst` has no effect without a teacher. Received: 4.0. Add --enbl_dst, or leave "
            "it out.",
        ),
        ([*BOTH, "--tempr_dst=2"], "`tempr_dst` has no effect without a teacher. Received: 2.0."),
        ([*BOTH, "--loss_w_hint=1"], "`loss_w_hint` has no effect without a teacher."),
        (
            [*BOTH, "--save_path_dst=t.keras"],
            "`save_path_dst` has no effect without a teacher. Received: t.keras. Add --enbl_dst",
        ),
        (
            [*BOTH, "--teacher_path=t.keras"],
            "`teacher_path` has no effect without a teacher. Received: t.keras. Add --enbl_dst",
        ),
        (
            [*BOTH, "--enbl_dst", "--teacher_path=t.keras"],
            "`teacher_path`: there is no file 't.keras'. Give trained networks",
        ),
        (
            [*BOTH, "--enbl_dst", "--dst_layers=first"],
            "`dst_layers` has no effect without a weight. Received: first. Add --loss_w_hint",
        ),
        (
            ["--learner=distillation", "--dst_alpha=0", "--teacher_path=t.keras"],
            "`dst_alpha` must be in (0, 1]. Received: 0.0. 0 would leave the teacher out: "
            "--learner=full-prec trains on the labels alone.",
        ),
        (
            ["--learner=distillation"],
            "The learner distillation learns from a teacher. Give the trained network: "
            "--teacher_path=teacher.keras, or several separated by commas.",
        ),
        (["--dst_alpha=0.5"], "Flag --dst_alpha does not apply: it belongs to --learner=distilla"),
        ([*BOTH, "--loss_w_dst=1", "--enbl_dst=False"], "`loss_w_dst` has no effect without a te"),
        (
            ["--pretrained_path", "--debug=False"],
            "Missing value for flag --pretrained_path ('--debug=False' behind it is a flag of its "
            "own). Write --pretrained_path=VALUE. See --help=all for every flag.",
        ),
        (["--learner", "--seed=1"], "Missing value for flag --learner ('--seed=1' behind it is a"),
        (["--seed"], "Missing value for flag --seed. Write --seed=VALUE. See --help"),
        (["--learner=full-prec, "], "Unknown learner '' in --learner: 'full-prec, ' has an empty"),
        (["--learner=full-prec", "chn-pruned-rmt"], "Unexpected argument 'chn-pruned-rmt'"),
        ([PRUNE, "--agent=tpe"], "--agent has no effect without a search. Switch one on "
         "(--cpr_search), or leave --agent out."),
        (["--agent=tpe"], "--agent has no effect without a search. Choose a learner that has one"),
    ],
    ids=lambda value: value[-1].replace(" ", "_") if isinstance(value, list) else "",
)  # fmt: skip
def test_refused(argv, wanted, capfd):
    assert run(*argv) == 2
    assert last_line(capfd).startswith(wanted)
    assert not pathlib.Path("out").exists()


PATHS = sorted(
    {
        spec.name
        for cls in (RunConfig, *(learners.config_class(name) for name in learners.LEARNERS))
        for spec in flags.describe(cls)
        if spec.info.path
    }
)


OWNERS = {
    spec.name: f"full-prec,{name}"
    for name in learners.LEARNERS
    for spec in flags.describe(learners.config_class(name))
}
ABLE = ", ".join(name for name, entry in learners.LEARNERS.items() if entry.budgets)
CUTTING = ", ".join(name for name, entry in learners.LEARNERS.items() if "flops" in entry.budgets)


@pytest.mark.parametrize("name", PATHS)
def test_an_empty_path_is_refused_by_name(name, capfd):
    needed = ["--enbl_dst"] if name in ("save_path_dst", "teacher_path") else []
    learner = [f"--learner={OWNERS[name]}"] if name in OWNERS else BOTH
    assert run(*learner, *needed, f"--{name}=") == 2
    assert last_line(capfd) == f"`{name}` must be a path. Received: ''."


def test_every_path_is_known_as_one():
    assert {"out_dir", "log_dir", "save_path", "cpr_save_path_eval", "setting"} <= set(PATHS)


@pytest.mark.parametrize(
    "argv",
    [
        ["--learner=full-prec, chn-pruned-rmt"],
        ["--learner=full-prec,", "chn-pruned-rmt"],
        ["--learner", "full-prec", ",", "channel-pruned-rmt"],
    ],
)
def test_a_list_of_learners_with_a_space(argv, capfd):
    """Up to the first refusal behind it, which knows both learners."""
    assert run(*argv, "--nb_epochs=1,", "2,", "3") == 2
    wanted = "`nb_epochs` must be one number or one per stage (2). Received: '1,2,3'."
    assert last_line(capfd) == wanted


@pytest.fixture
def other_learners(monkeypatch):
    """Two more rows: one that chooses bits, one that meets no budget; they are never loaded."""
    known = learners.LEARNERS["full-prec"]
    bits = dataclasses.replace(known, quantity="bits", budgets=("bytes",), ends_before=True)
    monkeypatch.setitem(learners.LEARNERS, "bits", bits)
    monkeypatch.setitem(learners.LEARNERS, "distils", dataclasses.replace(known, ends_before=True))


@pytest.mark.parametrize(
    ("learner", "budget", "wanted"),
    [
        (
            "bits", "flops:0.5",
            "`budget`: flops cannot be met by bits. Received: 'flops:0.5'. bits can meet bytes; "
            f"flops can be met by {CUTTING}.",
        ),
        (
            "bits,distils", "bytes:0.5,latency:0.5",
            "`budget`: latency cannot be met by bits, distils. Received: 'bytes:0.5,latency:0.5'. "
            f"bits can meet bytes; distils can meet none; latency can be met by {CUTTING}.",
        ),
        (
            "full-prec,distils", "flops:0.5",
            "`budget` has no effect on full-prec, distils, which no budget rules. Received:"
            f" 'flops:0.5'. Choose a learner that compresses: {ABLE}, bits.",
        ),
    ],
)  # fmt: skip
def test_budgets_that_a_learner_cannot_meet(learner, budget, wanted, other_learners, capfd):
    assert run(f"--learner={learner}", f"--budget={budget}") == 2
    assert last_line(capfd) == wanted
