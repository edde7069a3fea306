"""The table of forms."""

import numpy as np
import pytest

from datasets import DATASETS
from datasets.config import DataConfig
from datasets.user_data import ALIASES, FORMS, find_form, read_data
from utils.errors import InputError


def test_every_form_is_found_by_what_lies_there(tmp_path):
    made = {}
    for name in ("d.npz", "d.csv", "d.py"):
        (tmp_path / name).write_text("")
        made[name] = find_form(str(tmp_path / name))
    for folder, inside in (
        ("records", "a.tfrecord"), ("idx", "train-images-idx3-ubyte.gz"), ("table", "train.csv"),
        ("pictures", "a.png"), ("photos", "note.txt"),
    ):  # fmt: skip
        (tmp_path / folder).mkdir()
        (tmp_path / folder / inside).write_text("")
        made[folder] = find_form(str(tmp_path / folder))
    assert tuple(made.values()) == FORMS


@pytest.mark.parametrize("name", [*DATASETS, *ALIASES])
def test_names_of_data_sets(name):
    assert find_form(name) is None


def test_a_built_in_data_set():
    data = read_data("digits", DataConfig())
    assert (len(data.train), len(data.test)) == (1438, 359)
    assert data.train.inputs.white == 16.0
    assert data.train.labels.dtype == np.int64
    assert data.mean == (0.3055,)


def test_nothing_there():
    with pytest.raises(InputError, match="Did you mean 'digits'"):
        find_form("digit")
