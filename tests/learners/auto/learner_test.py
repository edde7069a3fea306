"""The recipe on the digits: inside what is allowed, replayed from its file, tuned, refused."""

import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from learners.search.scoring import held_out_images
from tests.learners.runs import TWO_STEPS, compress, make_run
from utils.errors import InputError
from utils.report import Report
from utils.training import evaluate

FEW = {
    "auto_nb_smpls": 64,
    "auto_nb_crops_per_smpl": 3,
    "auto_nb_candidates": 3,
    "auto_compare": False,
    "nb_epochs": "0",
}
ONE_WAY = {"auto_patterns": "dense", "auto_bits_min": 8}  # channels alone: nothing to scale


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
    return run(narrow_digits, folder, max_drop=4.0, auto_compare=True)


def test_the_file_loses_no_more_than_is_allowed(
    found: Report, narrow_digits: keras.Model, folder: pathlib.Path
) -> None:
    _, helper = make_run("auto", folder, **FEW)
    images, held_out = held_out_images(helper, 2000, 64)
    assert held_out
    before, after = (evaluate(net, images, helper).value for net in (narrow_digits, found.model))
    assert 100 * (before - after) <= 4.0 + 1e-6
    (file,) = (row for row in found.files if row.network == "after" and row.kind == "fpq")
    assert file.file_bytes is not None
    assert file.file_bytes < 0.25 * 4 * narrow_digits.count_params()


def test_the_report_has_every_candidate_and_each_way_alone(found: Report) -> None:
    (search,) = found.searches
    assert (search.quantity, search.kept) == ("joint", "winner")
    assert 1 <= len(search.rollouts) <= 4
    labels = {row.label for row in search.compared}
    assert labels == {"together", "channels alone", "zeros alone", "bits alone"}
    (kept,) = (row for row in search.compared if row.kept)
    assert kept.drop <= 4.0
    assert search.winner is not None
    assert search.winner.cost == kept.cost
    assert any("max_drop:4" in note for note in found.notes)


def test_the_setting_is_replayed_and_can_be_edited(
    found: Report, narrow_digits: keras.Model, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    written = folder / "search" / "setting.json"
    again = run(narrow_digits, tmp_path / "again", setting=str(written))
    for one, other in zip(found.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    document = json.loads(written.read_text())
    assert document["values"]["conv2/bits"] in range(2, 9)
    document["values"]["conv2/bits"] = 1
    written_anew = tmp_path / "edited.json"
    written_anew.write_text(json.dumps(document))
    edited = run(narrow_digits, tmp_path / "edited", setting=str(written_anew))
    kernel = np.asarray(edited.model.get_layer("conv2").kernel)
    assert all(np.unique(column).size <= 2 for column in kernel.reshape(-1, kernel.shape[-1]).T)


def test_what_nothing_reaches_is_refused(
    narrow_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(InputError, match=r"`max_drop`: no file within the budget that was tried"):
        run(narrow_digits, tmp_path, max_drop=0.0, budget="flops:0.1", **ONE_WAY)


def test_a_budget_and_training_with_zeros_and_grids_as_they_are(
    narrow_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    report = run(narrow_digits, tmp_path, budget="flops:0.5", nb_epochs=TWO_STEPS, **ONE_WAY)
    assert report.after.flops is not None
    assert report.before.flops is not None
    assert report.after.flops == pytest.approx(0.5 * report.before.flops, rel=0.02)
    assert report.training[-1].step == 2
    kernel = np.asarray(report.model.get_layer("conv2").kernel)
    assert all(np.unique(column).size <= 256 for column in kernel.reshape(-1, kernel.shape[-1]).T)
