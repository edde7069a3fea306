"""`print(report)` and notebooks."""

from tests.utils.report import samples
from utils.report import Report
from utils.report.console import plain_text
from utils.report.two_by_two import as_html


def test_print_and_notebook():
    report = samples.full_report()
    assert str(report) == plain_text(report)
    assert report._repr_html_() == as_html(report)
    assert Report.from_dict(report.to_dict()) == report
