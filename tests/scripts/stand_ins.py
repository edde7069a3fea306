"""Programs that only note how they are called."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import main

ROOT = Path(main.__file__).resolve().parent


def stand_in(path, body='printf "%s\\n" "$0" "$@"'):
    """Write a shell program; by default it prints its name and arguments, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def checkout_with(tmp_path, *scripts):
    """Make a checkout of nothing but some scripts; give its folder."""
    folder = tmp_path / "a checkout"
    (folder / "scripts").mkdir(parents=True)
    for script in scripts:
        shutil.copy(ROOT / "scripts" / script, folder / "scripts")
    return folder


def run(script, *arguments, programs, cwd, **variables):
    """Call a script with the stand-ins of the folder `programs` before all others."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(script), *arguments],
        cwd=cwd,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
