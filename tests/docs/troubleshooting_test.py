"""The page of troubleshooting quotes messages that the code still says."""

import re
from pathlib import Path

import utils

ROOT = Path(utils.__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
FOLDERS = ("learners", "nets", "pipeline", "utils")


def code_as_text():
    """Join the code, with neighboring string literals made one."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_quoted_messages_are_the_codes():
    quoted = re.findall(r'^\*\*"(.+)"\*\*$', PAGE, re.M)
    assert len(quoted) >= 8
    text = code_as_text()
    for message in quoted:
        for part in filter(None, (part.strip() for part in message.split("…"))):
            assert part in text, f"{message}: nothing says {part!r}"
