"""Starting programs and runs of several workers."""

import os
import pathlib
import subprocess
import sys

import main

ROOT = pathlib.Path(main.__file__).resolve().parent
LAUNCHER = [sys.executable, str(ROOT / "tools" / "launch" / "launch_workers.py")]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def workers(number, *command, cwd=ROOT, seconds=900, **variables):
    """Run a command as so many workers, to its end; one worker is started plainly."""
    call = [*command] if number == 1 else [*LAUNCHER, f"--num_workers={number}", "--", *command]
    return subprocess.run(
        call,
        cwd=cwd,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def flowpress(*flags):
    """Give the command of a run on the digits, as small as can be."""
    return [
        sys.executable,
        str(ROOT / "main.py"),
        "--model_helper=convnet_at_digits",
        "--tflite=none",
        *flags,
    ]
