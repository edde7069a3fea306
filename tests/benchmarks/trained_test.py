import json

import pytest

from benchmarks import SkipRow, real_data, trained
from benchmarks.rows import Context


def context(tmp_path):
    return Context(work_dir=tmp_path, seed=3)


def test_a_trained_network_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "_CACHE", tmp_path)
    folder = tmp_path / f"mobilenet_v2_0.25_{trained.NUM_EPOCHS}_epochs_seed_3"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps({"after": {"top1": 0.5}}), encoding="utf-8")
    path, report = trained.mobilenet_v2(context(tmp_path))
    assert path == folder / "model.keras"
    assert report["after"]["top1"] == 0.5


def test_without_data_the_row_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "_CACHE", tmp_path)

    def missing():
        raise real_data.DataUnavailableError("set FLOWPRESS_DATA")

    monkeypatch.setattr(real_data, "cifar10_dir", missing)
    with pytest.raises(SkipRow, match="FLOWPRESS_DATA"):
        trained.mobilenet_v2(context(tmp_path))
