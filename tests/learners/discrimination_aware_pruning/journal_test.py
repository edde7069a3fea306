import numpy as np
import pytest

from learners.discrimination_aware_pruning.journal import SelectionJournal, question
from learners.discrimination_aware_pruning.selection import Choice

CHOICE = Choice(
    np.array([True, False]),
    {("a/b \n..", "kernel"): np.array([[1.0], [0.0]], np.float32), ("c", "kernel"): np.ones(3)},
    {"a/b \n..": 0.25, "c": 0.5},
)


def journal(folder, resume=True, writes=True):
    return SelectionJournal(folder / "state.keras", resume=resume, writes=writes)


def never():
    raise AssertionError("it was chosen again")


def test_a_choice_is_made_once_and_then_taken_as_it_was(tmp_path):
    made, seconds = journal(tmp_path).answer("1.2", "asked", lambda: CHOICE)
    assert made is CHOICE and seconds >= 0
    assert (tmp_path / "state.channels.1.2.npz").is_file()
    again, same = journal(tmp_path).answer("1.2", "asked", never)
    assert same == seconds
    np.testing.assert_array_equal(again.mask, CHOICE.mask)
    assert again.errors == CHOICE.errors
    assert again.kernels.keys() == CHOICE.kernels.keys()
    for key, values in CHOICE.kernels.items():
        np.testing.assert_array_equal(again.kernels[key], values)
        assert again.kernels[key].dtype == values.dtype


@pytest.mark.parametrize(
    ("name", "asked", "options"),
    [
        ("1.2", "something else", {}),
        ("1.3", "asked", {}),
        ("1.2", "asked", {"resume": False}),
    ],
    ids=["another question", "another place", "anew"],
)
def test_other_questions_are_answered_anew(name, asked, options, tmp_path):
    journal(tmp_path).answer("1.2", "asked", lambda: CHOICE)
    with pytest.raises(AssertionError, match="chosen again"):
        journal(tmp_path, **options).answer(name, asked, never)


def test_a_damaged_file_is_made_again(tmp_path):
    journal(tmp_path).answer("1.2", "asked", lambda: CHOICE)
    path = tmp_path / "state.channels.1.2.npz"
    path.write_bytes(path.read_bytes()[:100])
    assert journal(tmp_path).answer("1.2", "asked", lambda: CHOICE)[0] is CHOICE
    journal(tmp_path).answer("1.2", "asked", never)


def test_one_worker_writes(tmp_path):
    journal(tmp_path, writes=False).answer("1.2", "asked", lambda: CHOICE)
    assert list(tmp_path.iterdir()) == []


def test_a_question_is_all_that_it_depends_on():
    weights = [np.zeros((2, 3)), np.ones(4)]
    base = question({"a": 1, "b": [2]}, weights)
    assert base == question({"b": [2], "a": 1}, weights)
    others = [
        question({"a": 2, "b": [2]}, weights),
        question({"a": 1, "b": [2]}, weights[:1]),
        question({"a": 1, "b": [2]}, [np.zeros((3, 2)), np.ones(4)]),
        question({"a": 1, "b": [2]}, [np.zeros((2, 3)), np.nextafter(np.ones(4), 2)]),
    ]
    assert len({base, *others}) == 5
