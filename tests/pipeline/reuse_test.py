"""What an earlier run left; whole runs in one folder are in `tests/users/same_folder_test.py`."""

import json

import keras
import numpy as np
import pytest

import learners
from learners.config import RunConfig
from learners.context import StageContext
from pipeline.reuse import differences, keep_record, made_from, take_up
from tests.learners.runs import make_run
from utils import flags
from utils.errors import InputError

PRUNED = learners.config_class("chn-pruned-rmt")
SPECS = {spec.name: spec for cls in (RunConfig, PRUNED) for spec in flags.describe(cls)}
FLAGS = {"seed": 0, "budget": None, "enbl_dst": None, "loss_w_dst": None, "ddpg_tau": None}
FLAGS |= {"tempr_dst": None}
SAVED = {**FLAGS, "start": "a1", "teacher": None, "setting": None, "source": ""}


@pytest.mark.parametrize(
    ("changed", "phrases"),
    [
        ({}, []),
        ({"seed": 3}, ["--seed was 0, is 3"]),
        ({"budget": "flops:0.5"}, ["--budget was left out, is flops:0.5"]),
        ({"seed": 3, "start": "b2"}, ["--seed was 0, is 3"]),  # the one follows from the other
        ({"start": "b2"}, ["the network it starts from is another one"]),
        (
            {"start": "b2", "source": "w.keras"},
            ["the network it starts from is another one (w.keras, was no file)"],
        ),
        ({"source": "w.keras"}, []),  # the same network from another place
        (
            {"enbl_dst": True, "loss_w_dst": 4.0, "tempr_dst": 2.0, "teacher": "t1"},
            ["distillation (--enbl_dst) was off, is on"],
        ),
        ({"setting": {"conv": 3}}, ["--setting was off, is on"]),
        ({"warm_start_file": "c3"}, ["the warm start file is another one"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_differences_in_words(changed, phrases):
    assert differences(SAVED, {**SAVED, **changed}, SPECS) == phrases


def test_flags_that_follow_from_another_are_left_out():
    saved = {**SAVED, "cpr_search": False}
    received = {**saved, "cpr_search": True, "ddpg_tau": 0.01}
    assert differences(saved, received, SPECS) == ["--cpr_search was False, is True"]
    assert differences(received, saved, SPECS) == ["--cpr_search was True, is False"]


def test_files_that_changed():
    saved = {**SAVED, "source": "w.keras", "teacher": "t1", "setting": {"conv": 3}}
    received = {**saved, "start": "b2", "teacher": "t2", "setting": {"conv": 4}}
    assert differences(saved, received, SPECS) == [
        "the teacher is another one",
        "--setting says something else",
        "the network it starts from is another one (w.keras changed)",
    ]


def learner_in(folder, learner="chn-pruned-rmt", **values):
    plan, helper = make_run(learner, folder, **{"nb_epochs": "0.09", **values})
    keras.utils.set_random_seed(1)
    model = helper.build_model()
    context = StageContext(run=plan.run, stage=plan.stages[0], helper=helper, log_dir=plan.log_dir)
    return learners.learner_class(learner)(context, model)


def test_nothing_was_left(tmp_path):
    assert take_up(learner_in(tmp_path), is_first=True) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_gone_on_from_or_refused(tmp_path):
    keep_record(learner_in(tmp_path))
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["1_chn_pruned_rmt.run.json"]
    assert take_up(learner_in(tmp_path, tflite="int8", save_step=7), is_first=True) == ""
    with pytest.raises(InputError, match=r"holds another run: --seed was 0, is 4. Repeat the"):
        take_up(learner_in(tmp_path, seed=4), is_first=True)
    assert take_up(learner_in(tmp_path, seed=4, resume=False), is_first=True) == ""


def test_a_later_stage_is_forgotten(tmp_path):
    """Its states go, those of its parts too; a network of the user's with such a name stays."""
    learner = learner_in(tmp_path)
    learner.fine_tune(learner.model)
    state = learner.context.stage.state_path
    for part in (".stage_1", "_winner_0a"):
        state.with_stem(state.stem + part).write_bytes(state.read_bytes())
    learner.model.save(state.with_stem(f"{state.stem}_mine"))
    keep_record(learner)
    changes = take_up(learner_in(tmp_path, cpr_prune_ratio=0.25), is_first=False)
    assert changes == "--cpr_prune_ratio was 0.5, is 0.25"
    assert [path.name for path in state.parent.iterdir()] == ["1_chn_pruned_rmt_mine.keras"]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_stage_without_a_record_was_stopped_half_way(is_first, tmp_path):
    learner = learner_in(tmp_path)
    learner.fine_tune(learner.model)
    assert take_up(learner_in(tmp_path), is_first=is_first) == ""
    advice = (
        "start anew with --resume=False" if is_first else r"remove .*/1_chn_pruned_rmt\* to make"
    )
    message = rf"which was stopped half way: --seed was 0, is 4. Repeat .* with it, or {advice}"
    with pytest.raises(InputError, match=message):
        take_up(learner_in(tmp_path, seed=4), is_first=is_first)
    assert learner.context.stage.state_path.is_file()


def test_a_record_of_another_version_is_passed_over(tmp_path):
    learner = learner_in(tmp_path)
    keep_record(learner)
    record = tmp_path / "state" / "1_chn_pruned_rmt.run.json"
    record.write_text('{"version": 2, "made_from": {}}')
    assert take_up(learner_in(tmp_path, seed=4), is_first=True) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is not JSON \(line 1, column 1"),
        ("[]", "it must be an object with version, made_from"),
        ('{"version": 1}', "lacks `made_from`"),
        ('{"version": true, "made_from": {}}', "`version` must be a whole number"),
        ('{"version": 1, "version": 1, "made_from": {}}', "name 'version' twice"),
        ("[" * 10_000, "nested"),
    ],
)
def test_a_damaged_record_is_refused(text, message, tmp_path):
    learner = learner_in(tmp_path)
    keep_record(learner)
    (tmp_path / "state" / "1_chn_pruned_rmt.run.json").write_text(text)
    with pytest.raises(InputError, match=rf"rmt\.run\.json: .*{message}.* Remove it to make"):
        take_up(learner_in(tmp_path), is_first=True)


def test_what_a_stage_is_made_from(tmp_path):
    learner = learner_in(tmp_path, nb_epochs="2")
    document = made_from(learner, "w.keras")
    assert document == json.loads(json.dumps(document))
    assert (document["source"], document["nb_epochs"]) == ("w.keras", 2.0)
    changed = learner_in(tmp_path, nb_epochs="2")
    changed.model.layers[1].kernel.assign_add(np.ones_like(changed.model.layers[1].kernel))
    again = learners.learner_class("chn-pruned-rmt")(changed.context, changed.model)
    assert made_from(again)["start"] != document["start"]
    longer = made_from(learner_in(tmp_path, "full-prec", nb_epochs="2"))
    assert "nb_epochs" not in longer  # goes on from a shorter one
