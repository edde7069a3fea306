"""A report's two files."""

import json
import os
import pathlib

from utils.files import atomic_path
from utils.report.html import render_html
from utils.report.schema import Report


def save_report(report: Report, folder: str | os.PathLike[str]) -> pathlib.Path:
    """Write `report.json` and `report.html`, each whole or not at all.

    Args:
        report: what they say.
        folder: where; made when missing.

    Returns:
        Path of `report.html`.

    Raises:
        InputError: if the folder cannot be written.
    """
    page = pathlib.Path(folder) / "report.html"
    with atomic_path(page.with_suffix(".json")) as temporary:
        text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    with atomic_path(page) as temporary:
        temporary.write_text(render_html(report), encoding="utf-8")
    return page
