"""A report's two files."""

import html
import json
import os
import pathlib

from utils.files import atomic_path
from utils.report.html import render_html
from utils.report.schema import Report


def save_report(report: Report, folder: str | os.PathLike[str]) -> pathlib.Path:
    """Write `report.json` and `report.html`, each whole or not at all, in this order.

    Args:
        report: what they say.
        folder: where; made when missing.

    Returns:
        Path of `report.html`.

    Raises:
        InputError: if the folder cannot be written.
    """
    _write_json(report, folder)
    return _write_page(render_html(report, folder), folder)


def save_plain_report(report: Report, folder: str | os.PathLike[str]) -> pathlib.Path:
    """Write a report whose page cannot be drawn: what failed, and all figures as they are.

    Args:
        report: what it says; its failures tell why.
        folder: where; made when missing.

    Returns:
        Path of `report.html`.

    Raises:
        InputError: if the folder cannot be written.
    """
    text = _write_json(report, folder)
    failures = "".join(
        f"<li>{html.escape(failure.step)}: {html.escape(failure.reason)}</li>"
        for failure in report.failures
    )
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Compression report'
        "</title></head><body><h1>Compression report</h1><p>The page could not be drawn. All "
        f"figures stand below, as in report.json.</p><ul>{failures}</ul>"
        f"<pre>{html.escape(text)}</pre></body></html>\n"
    )
    return _write_page(page, folder)


def _write_json(report: Report, folder: str | os.PathLike[str]) -> str:
    text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_path(pathlib.Path(folder) / "report.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return text


def _write_page(text: str, folder: str | os.PathLike[str]) -> pathlib.Path:
    page = pathlib.Path(folder) / "report.html"
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page
