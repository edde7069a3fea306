"""Runs of the command on CIFAR-10 with the pretrained ResNets, as rows of several topics need them.

A run that ended is taken as it is, so that a row that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks import Context, real_data

NUM_SEEDS = 3
# A file that loses much is a figure of a row, not a failed run.
MEASURED = ("--tflite_max_gap=1", "--tflite_min_agreement=0")


def folder_of(context: Context, seed: int, options: Sequence[str]) -> pathlib.Path:
    """Give the folder of a run, by all that makes it.

    Args:
        context: the row's.
        seed: of the run.
        options: its flags.

    Returns:
        A folder in the row's own; it need not exist.
    """
    digest = hashlib.sha256("\n".join([str(seed), *options]).encode()).hexdigest()
    return context.work_dir / digest[:12]


def cifar_run(context: Context, seed: int, *options: str, size: int = 20) -> dict[str, Any]:
    """Run a learner on a pretrained ResNet as a user does, and read its report.

    Args:
        context: the row's.
        seed: of the run.
        options: flags of the run.
        size: of the ResNet.

    Returns:
        The report.

    Raises:
        SkipRow: without the data.
        RuntimeError: if the command fails.
    """
    weights = f"weights/resnet{size}.npz"
    flags = [
        "--model_helper=resnet_at_cifar10",
        f"--resnet_size={size}",
        f"--pretrained_path={context.data(weights) / weights}",
        f"--data_dir_local={real_data.cifar10_for_a_row()}",
        *options,
    ]
    return finished_run(folder_of(context, seed, flags), [*flags, f"--seed={seed}"])


def mobilenet_run(context: Context, seed: int, *options: str) -> dict[str, Any]:
    """Run a learner on MobileNetV2 x0.25, trained once for all rows, and read its report.

    Args:
        context: the row's.
        seed: of the run.
        options: flags of the run.

    Returns:
        The report.

    Raises:
        SkipRow: without the data.
        RuntimeError: if the command fails.
    """
    from benchmarks.trained import mobilenet_v2

    path, _ = mobilenet_v2(context)
    flags = [
        "--model_helper=mobilenet_at_cifar10",
        "--mobilenet_version=2",
        "--mobilenet_depth_mult=0.25",
        f"--pretrained_path={path}",
        f"--data_dir_local={real_data.cifar10_for_a_row()}",
        *options,
        f"--seed={seed}",
    ]
    return finished_run(folder_of(context, seed, flags), flags)


def finished_run(folder: pathlib.Path, flags: Sequence[str]) -> dict[str, Any]:
    """Run the command into a folder unless it was, and read the report.

    Args:
        folder: its `--out_dir`.
        flags: the others.

    Returns:
        The report.

    Raises:
        RuntimeError: if the command fails.
    """
    import main

    if not (folder / "report.json").exists():
        status = main.run([*flags, f"--out_dir={folder}"])
        if status:
            raise RuntimeError(f"main.run gave status {status}; its error is above.")
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def over_seeds(context: Context, *options: str, size: int = 20) -> list[dict[str, Any]]:
    """Make a run with each of `NUM_SEEDS` seeds; arguments as of `cifar_run`."""
    reports = []
    for seed in range(context.seed, context.seed + NUM_SEEDS):
        reports.append(cifar_run(context, seed, *options, size=size))
        context.log(f"seed {seed}: {reports[-1]['after']['top1']:.4f}")
    return reports


def spread(reports: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Give mean, lowest and highest accuracy of runs, and what share of the FLOPs they kept.

    Args:
        reports: of runs that differ in the seed.

    Returns:
        `top1`, `top1_lowest`, `top1_highest`, `flops_kept`.
    """
    accuracies = [report["after"]["top1"] for report in reports]
    return {
        "top1": statistics.mean(accuracies),
        "top1_lowest": min(accuracies),
        "top1_highest": max(accuracies),
        "flops_kept": statistics.mean(
            report["after"]["flops"] / report["before"]["flops"] for report in reports
        ),
    }
