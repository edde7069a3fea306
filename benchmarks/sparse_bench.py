"""Weight sparsification on the pretrained ResNet-20 of CIFAR-10 (dense 91.73), and on small nets.

Without training: 5,000 training images, from 70 % on each layer's share by its sensitivity, every
weight that stays at its optimum; beside it the same ratio by magnitude alone. With training: 4
epochs, batch 128, distilled from the dense network, reported is the last epoch on the 10,000 test
images, the mean of three seeds. Ratios are of the kernels up for pruning: all but the first
layer's.
"""

from __future__ import annotations

import functools
import statistics
import time
from typing import Any

from benchmarks import Context, Row
from benchmarks.cifar_runs import NUM_SEEDS, cifar_run, finished_run, folder_of, over_seeds, spread
from benchmarks.rows import in_turns

SOURCES = ("learners", "nets", "datasets", "rl_agents", "utils", "pipeline")

DENSE = 0.9173
SPARSE = "--learner=weight-sparse"
FLOAT = "--tflite=none"
UNTRAINED = ("--nb_epochs=0", FLOAT)
OBS = "--ws_criterion=obs"
SEARCHED = ("--ws_nb_rlouts=20", "--ws_nb_rlouts_min=20", "--ws_nb_smpls_search=500")
ONE_RATIO = "--ws_prune_ratio_prtl=uniform"
SENSITIVE = "--ws_prune_ratio_prtl=sensitivity"
TUNING = ("--nb_epochs=4", "--enbl_dst", "--loss_w_hint=10", "--optimizer_ft=muon",
          "--lrn_rate_ft=0.03", FLOAT)  # fmt: skip
_PARTS = ("evaluation", "total", "export")
_SHARED_ABOVE = 0.6  # below, one ratio for all layers: it takes less time


def untrained(context: Context, *options: str, protocol: str = ONE_RATIO) -> dict[str, object]:
    """Remove weights in closed form; beside it by magnitude alone. No training."""
    report = cifar_run(context, context.seed, SPARSE, OBS, protocol, *options, *UNTRAINED)
    magnitude = cifar_run(context, context.seed, SPARSE, ONE_RATIO, *options, *UNTRAINED)
    return {
        "top1": report["after"]["top1"],
        "magnitude": magnitude["after"]["top1"],
        "seconds": sum(s for part, s in report["seconds"].items() if part not in _PARTS),
        "sparsity": report["after"]["sparsity"],
    }


def trained(context: Context, *options: str) -> dict[str, object]:
    """Remove weights in closed form, then train for four epochs."""
    found = spread(over_seeds(context, SPARSE, OBS, SENSITIVE, *options, *TUNING))
    return {**found, "change": found["top1"] - DENSE}


def optimal_over_uniform(context: Context) -> dict[str, object]:
    """Compare the protocols at 85 %, everything else equal."""
    options = ("--ws_prune_ratio=0.85", *TUNING)
    optimal = over_seeds(context, SPARSE, OBS, *SEARCHED, *options)
    uniform = over_seeds(context, SPARSE, OBS, ONE_RATIO, *options)
    gains = [
        first["after"]["top1"] - second["after"]["top1"]
        for first, second in zip(optimal, uniform, strict=True)
    ]
    return {
        "optimal": statistics.mean(each["after"]["top1"] for each in optimal),
        "uniform": statistics.mean(each["after"]["top1"] for each in uniform),
        "gain": statistics.mean(gains),
        "gain_lowest": min(gains),
    }


def small(context: Context, helper: str, data: str, ratio: float, epochs: str) -> dict[str, object]:
    """Train a small network, remove weights while it trains on: the document's schedule.

    Beside it the dense network trained on for as long, without a teacher: training on alone helps.
    """
    changes, tops, controls = [], [], []
    for seed in range(context.seed, context.seed + NUM_SEEDS):
        flags = (
            f"--model_helper={helper}",
            f"--data_dir_local={context.data(data) / data}",
            "--learner=full-prec,weight-sparse",
            f"--nb_epochs={epochs}",
            f"--ws_prune_ratio={ratio}",
            "--ws_prune_ratio_prtl=heurist",
            "--ws_mask_update_step=50",
            "--enbl_dst",
            "--control",
            FLOAT,
            f"--seed={seed}",
        )
        report = finished_run(folder_of(context, seed, flags), flags)
        tops.append(report["after"]["top1"])
        changes.append(report["after"]["top1"] - report["before"]["top1"])
        controls.append(report["control"]["top1"])
    return {
        "top1": statistics.mean(tops),
        "change": statistics.mean(changes),
        "over_dense_trained_on": statistics.mean(tops) - statistics.mean(controls),
    }


def masked_step(context: Context) -> dict[str, object]:
    """Time training steps of ResNet-20 with all kernels masked and without, in turns."""
    import keras
    import numpy as np

    from learners.weight_sparsification.masking import SparseOptimizer
    from nets.resnet_at_cifar10 import ModelHelper

    rng = np.random.default_rng(context.seed)
    images = rng.normal(size=(128, 32, 32, 3)).astype(np.float32)
    labels = rng.integers(0, 10, 128)
    steps: dict[str, Any] = {}
    for name in ("dense", "masked"):
        keras.utils.set_random_seed(context.seed)
        inputs = keras.Input((32, 32, 3))
        model = keras.Model(inputs, ModelHelper(seed=context.seed).forward(inputs))
        optimizer: Any = keras.optimizers.SGD(0.01, momentum=0.9)
        if name == "masked":
            kernels = [n for n, v in enumerate(model.trainable_variables) if len(v.shape) > 1]
            optimizer = SparseOptimizer(optimizer, kernels)
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        steps[name] = model
    calls = {
        name: functools.partial(model.train_on_batch, images, labels)
        for name, model in steps.items()
    }
    times = in_turns(calls, rounds=25, warm_up=5)
    dense, masked = (statistics.median(times[name]) for name in ("dense", "masked"))
    return {"ratio": masked / dense, "dense_ms": 1000 * dense, "masked_ms": 1000 * masked}


def mask_update(context: Context) -> dict[str, object]:
    """Decide the masks of all of ResNet-50's kernels anew."""
    import keras

    from learners.kernels.layers import kernel_layers
    from learners.sparsity.masks import ELEMENT
    from learners.sparsity.score import SCORES
    from learners.weight_sparsification.masking import Masking, SparseOptimizer
    from utils.graph import from_keras

    keras.utils.set_random_seed(context.seed)
    model = keras.applications.ResNet50(weights=None)
    layers = kernel_layers(from_keras(model))
    start = {layer.name: layer.size for layer in layers}
    final = {layer.name: layer.size // 4 for layer in layers}
    masking = Masking(model, layers, SCORES["magnitude"], ELEMENT, start=start, final=final)
    optimizer = SparseOptimizer(keras.optimizers.SGD(0.01), masking.indices)
    optimizer.build(model.trainable_variables)
    times = []
    for left in (0.8, 0.6, 0.4, 0.2, 0.0):
        begin = time.perf_counter()
        masking.update(left, None, optimizer)
        times.append(time.perf_counter() - begin)
    return {"seconds": statistics.median(times), "weights": sum(start.values())}


def _untrained_row(percent: int, target: str) -> Row:
    return Row(
        name=f"untrained-{percent}",
        run=functools.partial(_untrained_at, ratio=percent / 100),
        target={"top1": target, "seconds": "<= 180"},
        about=f"{percent} % of the weights gone, 5,000 images, no training; magnitude beside it",
    )


def _untrained_at(context: Context, ratio: float) -> dict[str, object]:
    protocol = SENSITIVE if ratio > _SHARED_ABOVE else ONE_RATIO
    return untrained(context, f"--ws_prune_ratio={ratio}", protocol=protocol)


def _trained_row(percent: float, target: dict[str, str]) -> Row:
    return Row(
        name=f"trained-{percent:g}",
        run=functools.partial(_trained_at, ratio=percent / 100),
        target=target,
        about=f"{percent:g} % of the weights gone, then 4 epochs, 3 seeds; change against dense",
    )


def _trained_at(context: Context, ratio: float) -> dict[str, object]:
    return trained(context, f"--ws_prune_ratio={ratio}")


ROWS = (
    _untrained_row(50, ">= 0.915"),
    _untrained_row(70, ">= 0.912"),
    _untrained_row(80, ">= 0.905"),
    _untrained_row(90, ">= 0.87"),
    Row(
        name="untrained-2-4",
        run=lambda context: untrained(context, "--ws_granularity=2:4"),
        target={"top1": ">= 0.913", "seconds": "<= 180"},
        about="2 of every 4 input channels stay, 5,000 images, no training",
    ),
    _trained_row(50, {"change": ">= 0"}),
    _trained_row(75, {"change": ">= -0.004"}),
    _trained_row(90, {"change": ">= -0.018"}),
    _trained_row(93.75, {}),
    _trained_row(95, {}),
    Row(
        name="trained-2-4",
        run=lambda context: trained(context, "--ws_granularity=2:4"),
        target={"change": ">= -0.001"},
        about="2 of every 4 input channels stay, then 4 epochs, 3 seeds",
    ),
    Row(
        name="optimal-over-uniform-85",
        run=optimal_over_uniform,
        target={"gain": ">= 0.003", "gain_lowest": ">= -0.001"},
        about="85 % gone, 4 epochs, 3 seeds: the search's shares less one ratio for all",
    ),
    Row(
        name="fmnist-convnet-90",
        run=lambda context: small(context, "convnet_at_fmnist", "fashion_mnist", 0.9, "8,8"),
        target={"change": ">= 0"},
        about="ConvNet on Fashion-MNIST, poly schedule, heurist, 8 epochs after 8, 3 seeds",
    ),
    Row(
        name="lenet300-95",
        run=lambda context: small(context, "lenet300_at_mnist", "mnist", 0.95, "10,10"),
        target={"change": ">= -0.003"},
        about="LeNet-300-100 on MNIST, poly schedule, heurist, 10 epochs after 10, 3 seeds",
    ),
    Row(
        name="masked-step",
        run=masked_step,
        target={"ratio": "<= 1.1"},
        about="ResNet-20, batch 128: a step with all kernels masked over a dense one, in turns",
    ),
    Row(
        name="mask-update-resnet50",
        run=mask_update,
        target={"seconds": "<= 0.5"},
        about="masks of all 25.5 M weights of ResNet-50 decided anew, by magnitude",
    ),
)
