"""Short runs of `compress` and of the command line, and what an interpreter makes of a file."""

import json
import pathlib
from typing import Any

import keras
import numpy as np

import main
from flowpress import compress
from utils.export.runner import TFLiteRunner
from utils.report import Report

# Nothing is trained and no file made, unless a test says so.
QUICK = {
    "learner": "full-prec",
    "nb_epochs": 0,
    "tflite": "none",
    "nb_repts": 1,
    "nb_repts_warmup": 0,
    "nb_smpls_calib": 32,
    "out_dir": "out",
    "resume": False,
}
PRUNING = {"learner": "chn-pruned-rmt", "nb_smpls": 32, "nb_crops_per_smpl": 2}


def short(model: keras.Model, train: Any, held_out: Any, **options: Any) -> Report:
    """Compress; later options win."""
    return compress(model, train, held_out, **{**QUICK, **options})


def command(helper: str, *argv: str) -> dict[str, Any]:
    """Write a helper's file, run the command line on it in this process, read the report."""
    pathlib.Path("net.py").write_text(helper)
    flags = [f"--{name}={value}" for name, value in QUICK.items()]
    assert main.run([*flags, "--model_helper=net.py", *argv]) == 0
    return json.loads(pathlib.Path("out", "report.json").read_text())


def interpreted(path: str, inputs: np.ndarray) -> np.ndarray:
    """Run a file sample by sample, without any code that scores."""
    runner = TFLiteRunner(pathlib.Path(path))
    return np.concatenate([runner(inputs[i : i + 1]) for i in range(len(inputs))])


def over_all(metric: keras.metrics.Metric, labels: Any, outputs: Any) -> float:
    """Give a Keras metric everything at once."""
    metric.reset_state()
    metric.update_state(labels, outputs)
    return float(metric.result())
