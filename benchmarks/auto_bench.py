"""Channels, zeros and bits chosen together, against each of them alone at equal bytes.

CIFAR-10, the public ResNet-20 (dense 91.73 %) and ResNet-56, MobileNetV2 x0.25. All choices are
made on held-out training images; accuracies are those of the deciding file on the test images.
What each way alone loses is on the held-out images, as the report has it.

The public networks were trained on the images that are held out here (99.9 % right), so that a file
loses more there than on the test images, and the more the further training takes it away. So the
rows with epochs ask for bytes or time, and say what that loses; those without ask for `max_drop`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import Context, Row
from benchmarks.cifar_runs import MEASURED, cifar_run, mobilenet_run

SOURCES = ("learners", "nets", "datasets", "rl_agents", "utils", "pipeline")

AUTO = "--learner=auto"
UNTRAINED = ("--nb_epochs=0", "--max_drop=0.5")
FEW, MANY = ("--auto_nb_smpls=500",), ("--auto_nb_smpls=5000",)
TENTH = ("--budget=bytes:0.1", *MANY)
MICRO = ("--target=tflm",)
_INT8, _MICRO = "int8", "tflm"


def figures(report: Mapping[str, Any], kind: str) -> dict[str, object]:
    """Take out of a report what a row shows.

    Args:
        report: of a run of `auto`.
        kind: of the file that decided.

    Returns:
        Accuracy of the network before and of the file, points lost, bytes as they count (deflated
        unless the file lies in flash) and their share of the float32 file before; seconds; and by
        way what that alone loses at those bytes, on held-out images.
    """
    files = {(row["network"], row["kind"]): row for row in report["files"]}
    file, whole = files["after", kind], files["before", "float32"]
    counted = "file_bytes" if kind == _MICRO else "file_bytes_deflated"
    dense = report["before"]["top1"]
    alone = {
        f"lost_by_{row['label'].partition(' ')[0]}": row["drop"]
        for search in report["searches"]
        for row in search["compared"]
        if not row["kept"]
    }
    return {
        "dense": dense,
        "top1": file["top1"],
        "lost": 100 * (dense - file["top1"]),
        "bytes": file[counted],
        "share": file[counted] / whole["file_bytes"],
        "seconds": report["seconds"]["tables"] + report["seconds"]["search"],
        **alone,
    }


def resnet(context: Context, *options: str, kind: str = _INT8, size: int = 20) -> dict[str, object]:
    """Run on a public ResNet."""
    return figures(cifar_run(context, context.seed, AUTO, *options, size=size), kind)


def mobilenet(context: Context, *options: str) -> dict[str, object]:
    """Run on MobileNetV2 x0.25."""
    return figures(mobilenet_run(context, context.seed, AUTO, *options), _INT8)


def timed(context: Context) -> dict[str, object]:
    """Ask for half the time of the float32 file."""
    report = cifar_run(context, context.seed, AUTO, "--budget=latency:0.5", "--nb_epochs=1")
    files = {(row["network"], row["kind"]): row for row in report["files"]}
    return {
        **figures(report, _INT8),
        "latency_kept": files["after", "float32"]["latency_ratio"]["value"],
    }


def _row(
    name: str,
    run: Callable[..., Mapping[str, object]],
    options: Sequence[str],
    target: Mapping[str, str],
    about: str,
    **facts: Any,
) -> Row:
    return Row(
        name=name,
        run=lambda context: run(context, *options, **facts),
        target=target,
        about=about,
    )


ROWS = (
    _row(
        "resnet20-untrained-500",
        resnet,
        (*UNTRAINED, *FEW),
        {"share": "<= 0.125", "lost": "<= 0.5", "seconds": "<= 600"},
        "ResNet-20, no training, 500 images for statistics",
    ),
    _row(
        "resnet20-untrained-5000",
        resnet,
        (*UNTRAINED, *MANY),
        {"lost": "<= 0.5"},
        "the same with 5,000",
    ),
    _row(
        "resnet20-untrained-tflm",
        resnet,
        (*UNTRAINED, *FEW, *MICRO),
        {"share": "<= 0.125", "lost": "<= 0.5"},
        "as tflite-micro runs it: bytes in flash",
        kind=_MICRO,
    ),
    _row(
        "resnet20-4-epochs",
        resnet,
        (*TENTH, "--nb_epochs=4"),
        {"share": "<= 0.1", "lost": "<= 0.5"},
        "a tenth of the bytes, 5,000 images for statistics, 4 epochs with distillation",
    ),
    _row(
        "resnet20-1-epoch-tflm",
        resnet,
        (*TENTH, "--nb_epochs=1", *MICRO),
        {"share": "<= 0.1", "lost": "<= 0.5"},
        "the same with one epoch, as tflite-micro runs it: bytes in flash",
        kind=_MICRO,
    ),
    Row(
        name="resnet20-half-the-time",
        run=timed,
        target={"latency_kept": "<= 0.525", "lost": "<= 1.0"},
        about="half the time of the float32 file, one epoch with distillation",
    ),
    _row(
        "resnet56-untrained",
        resnet,
        UNTRAINED,
        {"lost": "<= 0.5"},
        "ResNet-56, no training",
        size=56,
    ),
    _row(
        "mobilenet-untrained",
        mobilenet,
        (*UNTRAINED, *MEASURED),
        {},
        "MobileNetV2 x0.25, no training",
    ),
)
