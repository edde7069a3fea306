import json

import pytest

from tests.utils.report import samples
from utils.errors import InputError
from utils.report import Failure, Report
from utils.report.writing import save_plain_report, save_report


def test_save_writes_both_files_and_nothing_else(tmp_path):
    report = samples.full_report()
    page = save_report(report, tmp_path / "new" / "folder")
    assert page == tmp_path / "new" / "folder" / "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "report.json"]
    saved = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert Report.from_dict(saved) == report
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_save_refuses_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save_report(samples.report(), tmp_path / "file")


def test_a_page_that_cannot_be_drawn_is_written_plainly(tmp_path):
    failures = (Failure(step="page", reason="<script>no axis</script>"),)
    report = samples.full_report(failures=failures)
    page = save_plain_report(report, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "page: &lt;script&gt;no axis&lt;/script&gt;" in text and "<script>" not in text
    assert "&quot;num_samples&quot;: 10000" in text
    saved = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert Report.from_dict(saved) == report
