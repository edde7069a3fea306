"""Networks that benchmarks train once and keep: no public weights exist for them."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from benchmarks import Context, real_data

_CACHE = pathlib.Path(__file__).parents[1] / ".cache"
NUM_EPOCHS = 4


def mobilenet_v2(context: Context) -> tuple[pathlib.Path, dict[str, Any]]:
    """Give MobileNetV2 x0.25 trained on CIFAR-10 for `NUM_EPOCHS` epochs, training it if need be.

    Args:
        context: the row's; a training that was stopped goes on.

    Returns:
        Path of the `.keras` file, and the training's report.

    Raises:
        SkipRow: without the data.
    """
    import main

    folder = _CACHE / f"mobilenet_v2_0.25_{NUM_EPOCHS}_epochs_seed_{context.seed}"
    report = folder / "report.json"
    if not report.exists():
        data = real_data.cifar10_for_a_row()
        status = main.run(
            [
                "--model_helper=mobilenet_at_cifar10",
                "--mobilenet_version=2",
                "--mobilenet_depth_mult=0.25",
                "--learner=full-prec",
                f"--nb_epochs={NUM_EPOCHS}",
                f"--data_dir_local={data}",
                f"--seed={context.seed}",
                f"--out_dir={folder}",
                "--tflite=none",
            ]
        )
        if status:
            raise RuntimeError(f"main.run gave status {status}; its error is above.")
    return folder / "model.keras", json.loads(report.read_text(encoding="utf-8"))
