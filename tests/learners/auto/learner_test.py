"""The recipe on the digits: inside what is allowed, replayed from its file, tuned, refused."""

import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from learners.search.scoring import held_out_images
from tests.learners.runs import TWO_STEPS, compress, make_run
from utils.report import Report
from utils.training import evaluate

FEW = {
    "auto_nb_smpls": 64,
    "auto_nb_crops_per_smpl": 3,
    "auto_nb_candidates": 2,
    "auto_patterns": "dense",
    "auto_skip_op_names": "conv3",
    "auto_compare": False,
    "nb_epochs": "0",
}


def copied(network: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def run(network: keras.Model, folder: pathlib.Path, **values: Any) -> Report:
    return compress("auto", folder, copied(network), **{**FEW, **values})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("auto")


@pytest.fixture(scope="module")
def found(narrow_digits: keras.Model, folder: pathlib.Path) -> Report:
    return run(narrow_digits, folder, max_drop=6.0, auto_compare=True)


def test_the_file_loses_no_more_than_is_allowed(
    found: Report, narrow_digits: keras.Model, folder: pathlib.Path
) -> None:
    _, helper = make_run("auto", folder, **FEW)
    images, held_out = held_out_images(helper, 2000, 64)
    assert held_out
    before, after = (evaluate(net, images, helper).value for net in (narrow_digits, found.model))
    assert 100 * (before - after) <= 6.0 + 1e-6
    (file,) = (row for row in found.files if row.network == "after" and row.kind == "fpq")
    assert file.file_bytes is not None
    assert file.file_bytes < 0.5 * 4 * narrow_digits.count_params()  # conv3 stays as it is


def test_the_report_has_every_candidate_and_each_way_alone(found: Report) -> None:
    (search,) = found.searches
    assert (search.quantity, search.kept) == ("joint", "winner")
    assert 1 <= len(search.rollouts) <= 3
    labels = {row.label for row in search.compared}
    assert labels == {"together", "channels alone", "bits alone"}
    (kept,) = (row for row in search.compared if row.kept)
    assert kept.drop <= 6.0
    assert search.winner is not None
    assert search.winner.cost == kept.cost
    assert any("max_drop:6" in note for note in found.notes)


def test_the_setting_can_be_edited_and_replayed(
    found: Report, narrow_digits: keras.Model, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    document = json.loads((folder / "setting.json").read_text())
    assert document["values"]["fc1/bits"] in range(2, 9)
    assert document["drop"] <= 6.0
    document["values"]["fc1/bits"] = 1
    (tmp_path / "edited.json").write_text(json.dumps(document))
    report = run(narrow_digits, tmp_path, setting=str(tmp_path / "edited.json"))
    kernels = {
        name: [np.asarray(model.get_layer(name).kernel) for model in (found.model, report.model)]
        for name in ("conv1", "conv2", "fc1")
    }
    for name in ("conv1", "conv2"):  # in front of what was edited: as it was, to the last bit
        np.testing.assert_array_equal(*kernels[name])
    assert all(np.unique(column).size <= 2 for column in kernels["fc1"][1].T)


TUNED = {"budget": "bytes:0.6", "nb_epochs": TWO_STEPS, "auto_bits_min": 8}


def test_what_is_tuned_keeps_its_grids_and_is_checked_again(
    narrow_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    report = run(narrow_digits, tmp_path, **TUNED, lrn_rate_ft=1e-6)
    assert report.training[-1].step == 2
    (search,) = report.searches
    assert [row.label for row in search.compared] == ["tuned"]
    assert search.compared[0].cost["bytes"] <= 0.6 * 4 * narrow_digits.count_params()
    kernel = np.asarray(report.model.get_layer("fc1").kernel)
    assert all(np.unique(column).size <= 256 for column in kernel.T)


def test_what_training_makes_worse_stays_as_it_was(
    narrow_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    report = run(narrow_digits, tmp_path, **TUNED, lrn_rate_ft=0.5)
    (search,) = report.searches
    assert [row.label for row in search.compared] == ["together"]
    (note,) = (note for note in report.notes if "it stays as it was" in note)
    assert f"without {search.compared[0].drop:.2f}" in note
