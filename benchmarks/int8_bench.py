"""All-int8 files on CIFAR-10: quantization-aware training, and what it begins with.

ResNet-20, float 91.73 %. Figures are those of the `.tflite` files in the LiteRT interpreter on the
10,000 test images; ranges and roundings from 1,000 training images. Training: batch 128, SGD along
half a cosine, distillation from the network before; the mean of three seeds. Beside each file of
`uniform-tf` stands the converter's own int8 file of the same network before (100 samples).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import Context, Row, int8_rows, ptq_rows, target_rows
from benchmarks.cifar_runs import MEASURED, NUM_SEEDS, cifar_run, mobilenet_run

SOURCES = ("learners", "nets", "datasets", "rl_agents", "utils", "pipeline")

INTEGERS = ("--learner=uniform-tf", "--tflite=float32,int8")
UNTRAINED = ("--nb_epochs=0",)
TRAINED = ("--nb_epochs=4", "--enbl_dst")


def integers(context: Context, *options: str) -> dict[str, object]:
    """Make int8 files with three seeds."""
    return _summary([cifar_run(context, seed, *options, *MEASURED) for seed in _seeds(context)])


def half_pruned(context: Context) -> dict[str, object]:
    """Take half of ResNet-20's multiply-adds away, then quantize; the size is that of both."""
    options = ("--learner=chn-pruned-rmt,uniform-tf", "--budget=flops:0.5", "--nb_epochs=3,1")
    return integers(context, *options, "--enbl_dst", "--tflite=float32,int8")


def mobilenet(context: Context, *options: str) -> dict[str, object]:
    """Quantize MobileNetV2 x0.25, whose depthwise layers lose most."""
    return _summary([mobilenet_run(context, seed, *options, *MEASURED) for seed in _seeds(context)])


def _seeds(context: Context) -> range:
    return range(context.seed, context.seed + NUM_SEEDS)


def _summary(reports: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Give what the files did, on average: accuracy, loss to float, agreement, size, latency."""
    after = [_file(report, "int8", "after") for report in reports]
    stock = [_file(report, "int8", "before") for report in reports]
    whole = [_file(report, "float32", "before") for report in reports]
    dense = [report["before"]["top1"] for report in reports]
    top1 = statistics.mean(row["top1"] for row in after)
    return {
        "top1": top1,
        "loss": statistics.mean(dense) - top1,
        "stock_top1": statistics.mean(row["top1"] for row in stock),
        "agreement": min(row["agreement"] for row in after),
        "size": statistics.mean(
            own["file_bytes"] / other["file_bytes"] for own, other in zip(after, whole, strict=True)
        ),
        "time_to_stock": statistics.mean(
            own["latency_ms_p50"] / other["latency_ms_p50"]
            for own, other in zip(after, stock, strict=True)
        ),
    }


def _file(report: Mapping[str, Any], kind: str, network: str) -> Mapping[str, Any]:
    return next(row for row in report["files"] if row["kind"] == kind and row["network"] == network)


def _row(
    name: str,
    run: Callable[..., Mapping[str, object]],
    options: Sequence[str],
    target: Mapping[str, str],
    about: str,
) -> Row:
    return Row(name=name, run=lambda context: run(context, *options), target=target, about=about)


_EQUAL = {"agreement": ">= 0.99", "size": "<= 0.30", "time_to_stock": "<= 1.05"}

ROWS = (
    _row(
        "resnet20-ptq",
        integers,
        (*INTEGERS, *UNTRAINED),
        {"loss": "<= 0.001", **_EQUAL},
        "int8 without training: ranges by squared error, kernels by second moments",
    ),
    _row(
        "resnet20-ptq-nearest",
        integers,
        (*INTEGERS, *UNTRAINED, "--uqtf_rounding=nearest"),
        {},
        "the same with kernels at the nearest points, for comparison",
    ),
    *(
        _row(
            f"resnet20-ptq-{method}",
            integers,
            (*INTEGERS, *UNTRAINED, f"--uqtf_calibration={method}"),
            {},
            f"the same with ranges by {method}, for comparison",
        )
        for method in ("minmax", "percentile", "kl")
    ),
    *(
        _row(
            f"resnet20-qat-{update}",
            integers,
            (*INTEGERS, *TRAINED, f"--uqtf_range_update={update}"),
            {"loss": "<= 0.0005", **_EQUAL},
            f"4 epochs of quantization-aware training, ranges: {update}",
        )
        for update in ("moving_average", "learned", "none")
    ),
    _row(
        "resnet20-qat-folded",
        integers,
        (*INTEGERS, *TRAINED, "--uqtf_freeze_bn_delay=0"),
        {},
        "the same with batch norm folded from the start",
    ),
    _row(
        "resnet20-w4-ptq",
        integers,
        (*INTEGERS, *UNTRAINED, "--uqtf_weight_bits=4"),
        {"agreement": ">= 0.99"},
        "weights of 4 bits without training",
    ),
    _row(
        "resnet20-w4-qat",
        integers,
        (*INTEGERS, *TRAINED, "--uqtf_weight_bits=4"),
        {"agreement": ">= 0.99"},
        "weights of 4 bits, 4 epochs",
    ),
    Row(
        name="resnet20-half-qat",
        run=half_pruned,
        target={"agreement": ">= 0.99", "size": "<= 0.33"},
        about="half of the multiply-adds gone, then int8",
    ),
    _row(
        "mobilenet-ptq",
        mobilenet,
        (*INTEGERS, *UNTRAINED),
        {"agreement": ">= 0.99"},
        "MobileNetV2 x0.25 without training",
    ),
    _row(
        "mobilenet-qat",
        mobilenet,
        (*INTEGERS, *TRAINED),
        {"agreement": ">= 0.99"},
        "MobileNetV2 x0.25, 4 epochs",
    ),
    *ptq_rows.ROWS,
    *target_rows.ROWS,
    *int8_rows.ROWS,
)
