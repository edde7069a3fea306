"""What `make docs` adds to the pages while it builds the site; a hook of MkDocs.

- Formulas, written as LaTeX between `$` signs or on lines of their own between `$$`, become MathML,
  which browsers draw by themselves: nothing is fetched and no script runs.
- What lies outside `docs/` and belongs on the site is taken in: measured results, changelog,
  licence. Links from one to another lead to the pages.
"""

from __future__ import annotations

import html
import pathlib
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: Page of the site -> file of the checkout.
TAKEN_IN = {
    "results.md": "benchmarks/results.md",
    "changelog.md": "CHANGELOG.md",
    "licence.md": "LICENSE",
}
# As `pymdownx.arithmatex` leaves them with `generic: true`.
_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.S
)
_LINK = re.compile(r"\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Take in the files of `TAKEN_IN`."""
    for page, source in TAKEN_IN.items():
        files.append(File.generated(config, page, content=taken_in(source)))
    return files


def taken_in(source: str) -> str:
    """Give a file of the checkout as a page.

    Args:
        source: its path in the checkout.

    Returns:
        Markdown; a text without a heading is shown as it is, under its name.
    """
    text = (ROOT / source).read_text(encoding="utf-8")
    if not source.endswith(".md"):
        return f"# Licence\n\n```\n{text}\n```\n"
    return _with_links(text, (ROOT / source).parent)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to what was taken in lead to its page."""
    return _with_links(markdown, ROOT / "docs")


def _with_links(text: str, folder: pathlib.Path) -> str:
    """Turn links between files of the checkout into links between pages.

    Args:
        text: Markdown.
        folder: where its file lies.
    """
    pages = {(ROOT / path).resolve(): page for page, path in TAKEN_IN.items()}

    def moved(link: re.Match[str]) -> str:
        target = link["target"]
        if "://" in target:
            return link[0]
        path = (folder / target).resolve()
        inside = path.relative_to(ROOT / "docs").as_posix() if ROOT / "docs" in path.parents else ""
        return f"]({pages.get(path) or inside or target}{link['anchor'] or ''})"

    return _LINK.sub(moved, text)


def on_page_content(content: str, **_: Any) -> str:
    """Turn formulas into MathML."""
    return _FORMULA.sub(_mathml, content)


def _mathml(found: re.Match[str]) -> str:
    display = "block" if found["tag"] == "div" else "inline"
    return convert(html.unescape(found["latex"]).strip(), display=display)
