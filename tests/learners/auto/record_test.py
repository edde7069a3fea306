"""What was tried is found again, and only by the run that tried it."""

import dataclasses
import re

import pytest

from learners.auto.record import FILE, Record, Trial
from utils.errors import InputError

TRIAL = Trial(
    label="joint",
    values={"conv/bits": 3},
    size=10.0,
    num_bytes=20,
    drop=0.5,
    value=0.9,
    loss=0.1,
    error=0.2,
    predicted=0.3,
    seconds=1.0,
)
SHARED = {"seed": 0, "flags": (1, 2)}


def test_it_is_found_again(tmp_path):
    Record(tmp_path, SHARED, resume=True).add(TRIAL)
    again = Record(tmp_path, SHARED, resume=True)
    assert again.find("joint", {"conv/bits": 3}) == TRIAL
    assert again.find("joint", {"conv/bits": 4}) is None
    assert again.find("bits", {"conv/bits": 3}) is None


def test_a_torn_last_line_is_dropped(tmp_path):
    record = Record(tmp_path, SHARED, resume=True)
    record.add(TRIAL)
    record.add(dataclasses.replace(TRIAL, label="bits"))
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text[:-30])
    assert [trial.label for trial in Record(tmp_path, SHARED, resume=True).trials] == ["joint"]


def test_a_run_that_begins_anew_finds_nothing(tmp_path):
    Record(tmp_path, SHARED, resume=True).add(TRIAL)
    assert not Record(tmp_path, SHARED, resume=False).trials


@pytest.mark.parametrize("damage", ["[]\n{}\n{}\n", "no json\n", '{"seed": 1}\n'])
def test_another_run_or_damage_is_refused(tmp_path, damage):
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(InputError, match="Start anew with --resume=False"):
        Record(tmp_path, SHARED, resume=True)


@pytest.mark.parametrize("change", [{"drop": "0.5"}, {"values": {"conv/bits": 2.5}}, {"label": 1}])
def test_lines_of_other_types_are_refused(tmp_path, change):
    Record(tmp_path, SHARED, resume=True).add(dataclasses.replace(TRIAL, **change))
    with pytest.raises(InputError, match="is damaged"):
        Record(tmp_path, SHARED, resume=True).add(TRIAL)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "[" * 5000])
def test_numbers_and_depths_that_nobody_wrote_are_refused(tmp_path, number):
    Record(tmp_path, SHARED, resume=True).add(TRIAL)
    lines = (tmp_path / FILE).read_text().splitlines()
    changed = re.sub(r'"drop": [^,]+', f'"drop": {number}', lines[1])
    (tmp_path / FILE).write_text("\n".join([lines[0], changed, lines[1]]) + "\n")
    with pytest.raises(InputError, match="is damaged"):
        Record(tmp_path, SHARED, resume=True)


def test_what_another_run_differs_in_is_named(tmp_path):
    Record(tmp_path, SHARED, resume=True)
    with pytest.raises(InputError, match="of another run: seed was 0, is 1") as raised:
        Record(tmp_path, SHARED | {"seed": 1}, resume=True)
    assert "damaged" not in str(raised.value)


def test_a_file_that_is_no_text(tmp_path):
    Record(tmp_path, SHARED, resume=True)
    (tmp_path / FILE).write_bytes(bytes([0xFF, 0xFE, 0x0A]))
    with pytest.raises(InputError, match="is damaged"):
        Record(tmp_path, SHARED, resume=True)
