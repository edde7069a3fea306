import json
import pathlib

import numpy as np
import pytest

from learners.search.journal import Journal, Trial, search_folder
from utils.errors import InputError

FLAGS = {"budget": "flops:0.5", "seed": 0, "ratio": 0.5}


def trial(index, reward=0.5):
    return Trial(
        index=index,
        seed=0,
        actions=(0.1 * index, 1 / 3),
        choices={"a": 3, "b": 4},
        cost={"flops": 100.0},
        reward=reward,
        accuracy=reward,
        loss=None if reward is None else 1.0 - reward,
        seconds=0.25,
        error="" if reward is not None else "the score is not finite",
    )


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path, FLAGS, resume=True)
    for index in range(3):
        journal.append(trial(index, [0.5, None, 0.7][index]))
    journal.save_agent({"num_told": np.array(3), "weights": np.arange(4.0)})
    return journal


def test_another_session_reads_what_was_written(journal, tmp_path):
    again = Journal(tmp_path, FLAGS, resume=True)
    assert again.trials == journal.trials
    assert again.agent_state()["weights"].tolist() == [0, 1, 2, 3]


def test_without_resume_it_begins_anew(journal, tmp_path):
    again = Journal(tmp_path, FLAGS, resume=False)
    assert again.trials == []
    assert again.agent_state() is None
    assert len(again.path.read_text().splitlines()) == 1


def test_a_torn_last_line_is_dropped(journal, tmp_path):
    content = journal.path.read_bytes()
    journal.path.write_bytes(content[:-20])
    again = Journal(tmp_path, FLAGS, resume=True)
    assert len(again.trials) == 2
    again.append(trial(2))
    assert len(Journal(tmp_path, FLAGS, resume=True).trials) == 3


def test_a_file_torn_in_its_first_line_begins_anew(journal, tmp_path):
    journal.path.write_bytes(journal.path.read_bytes()[:30])
    assert Journal(tmp_path, FLAGS, resume=True).trials == []


def test_an_agent_that_is_ahead_of_the_roll_outs_is_not_taken(journal, tmp_path):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines[:-1]))
    assert Journal(tmp_path, FLAGS, resume=True).agent_state() is None


def test_a_damaged_agent_is_not_taken(journal, tmp_path):
    (tmp_path / "search_agent.npz").write_bytes(b"PK")
    assert Journal(tmp_path, FLAGS, resume=True).agent_state() is None


def test_changed_flags_are_named(journal, tmp_path):
    with pytest.raises(InputError, match=r"ratio \(was 0.5, is 0.6\), seed \(was 0, is 1\)"):
        Journal(tmp_path, FLAGS | {"seed": 1, "ratio": 0.6}, resume=True)


@pytest.mark.parametrize("damage", [b"garbage\n", b"[]\n", b'{"index": 1}\n'])
def test_damage_in_the_middle_is_named(journal, tmp_path, damage):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([lines[0], damage, *lines[2:]]))
    with pytest.raises(InputError, match=r"line 2: .*The line is damaged"):
        Journal(tmp_path, FLAGS, resume=True)


def test_a_missing_roll_out_is_named(journal, tmp_path):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([lines[0], *lines[2:]]))
    with pytest.raises(InputError, match=r"line 2: .*The line is damaged"):
        Journal(tmp_path, FLAGS, resume=True)


def test_another_file_of_that_name_is_not_taken_for_one(tmp_path):
    (tmp_path / "search.jsonl").write_text(json.dumps({"index": 0}) + "\n")
    with pytest.raises(InputError, match=r"line 1: .*The line is damaged"):
        Journal(tmp_path, FLAGS, resume=True)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        Journal(tmp_path / "file" / "folder", FLAGS, resume=True)


def test_trials_rank_by_reward_then_loss_failures_last():
    better = Trial(**{**vars(trial(0, 0.5)), "loss": 0.1})
    assert max(trial(0, 0.5), better, trial(1, None), key=lambda t: t.rank) is better


def test_where_a_search_writes():
    assert search_folder(pathlib.Path("a/model.keras")) == pathlib.Path("a")
    assert search_folder(pathlib.Path("a/model_1_x.keras")) == pathlib.Path("a/model_1_x")
