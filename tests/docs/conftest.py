"""A checkout to carry the commands of a page out in."""

import stat
import sys
from pathlib import Path

import pytest

import main

ROOT = Path(main.__file__).resolve().parent


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like the checkout, whose Python only notes how it is called."""
    for path in ROOT.iterdir():
        if path.name not in ("runs", "logs", "path.conf") and not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    recorder = tmp_path / ".venv" / "bin" / "python"
    recorder.parent.mkdir(parents=True)
    recorder.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
    )
    recorder.chmod(recorder.stat().st_mode | stat.S_IXUSR)
    monkeypatch.chdir(tmp_path)
    return tmp_path
