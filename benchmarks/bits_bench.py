"""Weights and activations of few bits on CIFAR-10's pretrained networks.

ResNet-20, dense 91.73 %; the first and the last layer have 8 bits. Without training: 5,000 training
images, 10 positions each. Training: batch 128, SGD from rate 0.01 along half a cosine, distillation
from the network before at the temperature of the width; the mean of three seeds of the last epoch
on the 10,000 test images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks import Context, Row, real_data
from benchmarks.cifar_runs import NUM_SEEDS, cifar_run, finished_run, folder_of, over_seeds, spread

SOURCES = ("learners", "nets", "datasets", "rl_agents", "utils", "pipeline")

UNIFORM = ("--learner=uniform", "--uql_use_buckets")
UNTRAINED = ("--nb_epochs=0", "--tflite=none")
TRAINED = ("--nb_epochs=4", "--enbl_dst", "--tflite=none")
ROUNDING = "rounding"


def untrained(context: Context, *options: str) -> dict[str, object]:
    """Round without training; say how long the rounding took."""
    report = cifar_run(context, context.seed, *options, *UNTRAINED)
    return {"top1": report["after"]["top1"], "seconds": report["seconds"][ROUNDING]}


def trained(context: Context, *options: str) -> dict[str, object]:
    """Round and train, with three seeds; beside it what rounding alone gives."""
    found = spread(over_seeds(context, *options, *TRAINED))
    before = cifar_run(context, context.seed, *options, *UNTRAINED)
    return {**found, "before": before["after"]["top1"]}


def sparse_and_coarse(context: Context) -> dict[str, object]:
    """Take 70 % of the weights away, then round the others to 3 bits, neither with training."""
    options = ("--learner=weight-sparse,uniform", "--ws_prune_ratio=0.7", "--uql_weight_bits=3")
    report = cifar_run(context, context.seed, *options, "--uql_use_buckets", *UNTRAINED)
    after = report["after"]
    return {"top1": after["top1"], "sparsity": after["sparsity"], "bits": after["bits"]}


def mobilenet(context: Context, *options: str) -> dict[str, object]:
    """Round MobileNetV2 x0.25 and train it, with three seeds, against its float network."""
    from benchmarks.trained import mobilenet_v2

    path, _ = mobilenet_v2(context)
    network = (
        "--model_helper=mobilenet_at_cifar10",
        "--mobilenet_version=2",
        "--mobilenet_depth_mult=0.25",
        f"--pretrained_path={path}",
        f"--data_dir_local={real_data.cifar10_for_a_row()}",
    )
    reports = []
    for seed in range(context.seed, context.seed + NUM_SEEDS):
        flags = [*network, *options, *TRAINED, f"--seed={seed}"]
        reports.append(finished_run(folder_of(context, seed, flags), flags))
    top1 = spread(reports)["top1"]
    dense = reports[0]["before"]["top1"]
    return {"dense": dense, "top1": top1, "loss": dense - top1}


def _uniform_rows() -> list[Row]:
    rows = []
    for bits, top1 in ((4, ">= 0.916"), (3, ">= 0.914"), (2, ">= 0.893")):
        options = (*UNIFORM, f"--uql_weight_bits={bits}")
        rows.append(
            _row(
                f"uniform-w{bits}-untrained",
                untrained,
                options,
                {"top1": top1, "seconds": "<= 120"},
                f"weights of {bits} bits, a grid for each output channel, no training",
            )
        )
    for bits, top1 in ((4, ">= 0.913"), (3, ">= 0.906"), (2, ">= 0.88")):
        options = (*UNIFORM, f"--uql_weight_bits={bits}", f"--uql_activation_bits={bits}")
        rows.append(
            _row(
                f"uniform-w{bits}a{bits}",
                trained,
                options,
                {"top1": top1},
                f"weights and activations of {bits} bits, learned steps, 4 epochs",
            )
        )
    return rows


def _row(
    name: str,
    run: Callable[..., Mapping[str, object]],
    options: Sequence[str],
    target: Mapping[str, str],
    about: str,
) -> Row:
    return Row(name=name, run=lambda context: run(context, *options), target=target, about=about)


ROWS = (
    # --- uniform ---
    *_uniform_rows(),
    _row(
        "uniform-w4-nearest",
        untrained,
        (*UNIFORM, "--uql_weight_bits=4", "--uql_rounding=nearest"),
        {},
        "the same weights rounded to the nearest points, for comparison",
    ),
    _row(
        "uniform-w4-layer",
        untrained,
        ("--learner=uniform", "--uql_weight_bits=4"),
        {},
        "one grid for each layer, as at default flags, no training",
    ),
    Row(
        name="sparse70-uniform-w3-untrained",
        run=sparse_and_coarse,
        about="70 % of the weights gone and 3 bits for the others, no training",
    ),
    _row(
        "mobilenet-uniform-w4",
        mobilenet,
        (*UNIFORM, "--uql_weight_bits=4"),
        {"loss": "<= 0.015"},
        "MobileNetV2 x0.25, weights of 4 bits, 4 epochs, against its float network",
    ),
)
