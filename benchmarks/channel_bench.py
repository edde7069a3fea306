"""The channel-pruning family on CIFAR-10's pretrained ResNets, before and after fine-tuning.

Fine-tuning: batch 128, Muon from rate 0.03 along half a cosine (`docs/training.md` says how it was
chosen, on training images), distillation from the unpruned network (weight 4, temperature 4) with
hints from the ends of its blocks (weight 10). Reported is the last epoch on the 10,000 test images,
the mean of three seeds. The peer is Torch-Pruning's best of L2, L1 and Taylor importance with the
same distillation, from `make bench-peers`.
"""

from __future__ import annotations

import functools
import statistics
from typing import Any

from benchmarks import Context, Row, real_data
from benchmarks.cifar_runs import (
    NUM_SEEDS,
    cifar_run,
    finished_run,
    folder_of,
    mobilenet_run,
    over_seeds,
    spread,
)
from benchmarks.peer_results import best_peer

SOURCES = ("learners", "nets", "datasets", "rl_agents", "utils", "pipeline")

TUNING = ("--loss_w_hint=10", "--optimizer_ft=muon", "--lrn_rate_ft=0.03")
REMASTERED = "--learner=chn-pruned-rmt"
SEARCHED = ("--cpr_search", "--cpr_nb_rlouts=200")
UNTRAINED = ("--nb_epochs=0", "--tflite=none")
FLOAT = "--tflite=none"
_FEW_SECONDS = {"seconds": "<= 900"}


def criteria(context: Context, budget: str) -> dict[str, object]:
    """Compare the criteria of channel choice before any training, all with least squares."""
    top1 = {}
    for name in ("backward", "lasso", "l1"):
        options = (REMASTERED, f"--budget=flops:{budget}", f"--cpr_criterion={name}", *UNTRAINED)
        top1[name] = cifar_run(context, context.seed, *options)["after"]["top1"]
    return {
        **top1,
        "backward_over_lasso": top1["backward"] - top1["lasso"],
        "lasso_over_l1": top1["lasso"] - top1["l1"],
    }


def tuned(
    context: Context, size: int, budget: str, epochs: int, *, searched: bool = False
) -> dict[str, object]:
    """Prune, with one ratio or as a search chooses, and fine-tune."""
    prune = (REMASTERED, f"--budget=flops:{budget}", *(SEARCHED if searched else ()))
    options = (*prune, f"--nb_epochs={epochs}", "--enbl_dst", *TUNING, FLOAT)
    found = spread(over_seeds(context, *options, size=size))
    before = cifar_run(context, context.seed, *prune, *UNTRAINED, size=size)
    peer = best_peer(f"resnet{size}", budget, epochs=epochs, distilled=True)
    figures: dict[str, Any] = {**found, "before": before["after"]["top1"], "peer": peer}
    if peer:
        figures["over_peer"] = found["top1"] - peer["top1"]
    return figures


def distillation(context: Context) -> dict[str, object]:
    """Fine-tune with and without the teacher, everything else equal, at three budgets."""
    effects = []
    for budget in ("0.5", "0.6", "0.73"):
        plain = (REMASTERED, f"--budget=flops:{budget}", "--nb_epochs=3", "--optimizer_ft=muon")
        options = (*plain, "--lrn_rate_ft=0.03", FLOAT)
        with_it = spread(over_seeds(context, *options, "--enbl_dst", "--loss_w_hint=10"))
        without = spread(over_seeds(context, *options))
        effects.append(with_it["top1"] - without["top1"])
        context.log(f"flops:{budget}: {100 * effects[-1]:+.2f} points")
    return {
        "effect_at_half": effects[0],
        "effect": statistics.mean(effects),
        "effect_lowest": min(effects),
    }


def group_tuning(context: Context) -> dict[str, object]:
    """Follow the document's three steps: uniform, auto, auto with group tuning, 3 epochs each."""
    last = ("--nb_epochs=3", "--enbl_dst", FLOAT)
    ways = {
        "uniform": ("--cp_prune_option=uniform", "--budget=flops:0.5"),
        "auto": ("--cp_preserve_ratio=0.5",),
        "grouped": ("--cp_preserve_ratio=0.5", "--cp_finetune", "--cp_list_group=3"),
    }
    found = {
        name: spread(over_seeds(context, "--learner=channel", *way, *last))["top1"]
        for name, way in ways.items()
    }
    return {
        **found,
        "auto_over_uniform": found["auto"] - found["uniform"],
        "grouped_over_auto": found["grouped"] - found["auto"],
    }


def selection_time(context: Context, *options: str) -> dict[str, object]:
    """Select over the whole ResNet-56 and time it."""
    budget = ("--budget=flops:0.5", *UNTRAINED)
    report = cifar_run(context, context.seed, *options, *budget, size=56)
    parts = {
        name: s for name, s in report["seconds"].items() if name not in ("total", "evaluation")
    }
    return {"seconds": sum(parts.values()), "top1": report["after"]["top1"]}


def _halved(context: Context, learner: str) -> dict[str, object]:
    """Halve ResNet-20 by another learner of the family and fine-tune as the others."""
    budget = (f"--learner={learner}", "--budget=flops:0.5")
    flags = (*budget, "--nb_epochs=3", "--enbl_dst", *TUNING, FLOAT)
    found = spread(over_seeds(context, *flags))
    peer = best_peer("resnet20", "0.5", epochs=3, distilled=True)
    return {**found, "peer": peer} | ({"over_peer": found["top1"] - peer["top1"]} if peer else {})


def controls(context: Context) -> dict[str, object]:
    """Train the small shape from scratch, and the dense network on, for as many epochs."""
    import keras

    from datasets.config import DataConfig
    from nets.resnet_at_cifar10 import ModelHelper
    from utils.files import load_keras_model

    prune = (REMASTERED, "--budget=flops:0.5", "--nb_epochs=3", "--enbl_dst", *TUNING, FLOAT)
    report = cifar_run(context, context.seed, *prune, "--control")
    small = load_keras_model(report["after"]["path"])
    keras.utils.set_random_seed(context.seed)
    fresh = keras.Model.from_config(small.get_config())
    data = DataConfig(data_dir_local=real_data.cifar10_for_a_row())
    helper = ModelHelper(ModelHelper.config_class(data=data), seed=context.seed)
    steps = 3 * helper.steps_per_epoch
    fresh.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, steps), momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    fresh.fit(helper.build_dataset_train(), steps_per_epoch=helper.steps_per_epoch, epochs=3)
    _, scratch = fresh.evaluate(helper.build_dataset_eval())
    return {
        "top1": report["after"]["top1"],
        "dense_trained_on": report["control"]["top1"],
        "small_from_scratch": scratch,
    }


def lenet_filters(context: Context) -> dict[str, object]:
    """Cut LeNet-5 on MNIST to 41 % of its parameters in four steps, as the document's table."""
    document = context.work_dir / "prune.yaml"
    context.work_dir.mkdir(parents=True, exist_ok=True)
    document.write_text(
        "pruners:\n"
        "  step: {criterion: l1_norm, prune_type: auto_prune, ratio: 0.09}\n"
        "prune_schedulers:\n"
        "  - {pruner: {func_name: step}, epochs: [0, 2, 4, 6]}\n",
        encoding="utf-8",
    )
    found = []
    for seed in range(context.seed, context.seed + NUM_SEEDS):
        flags = (
            "--model_helper=lenet5_at_mnist",
            f"--data_dir_local={context.data('mnist') / 'mnist'}",
            "--learner=full-prec,filter-pruned",
            "--nb_epochs=8,8",
            FLOAT,
            f"--fp_config={document}",
            f"--seed={seed}",
        )
        found.append(finished_run(folder_of(context, seed, flags), flags))
    change = [each["after"]["top1"] - each["before"]["top1"] for each in found]
    kept = [each["after"]["params"] / each["before"]["params"] for each in found]
    return {
        "top1": statistics.mean(each["after"]["top1"] for each in found),
        "params_kept": statistics.mean(kept),
        "change": statistics.mean(change),
    }


def mobilenet_filters(context: Context, ratio: float) -> dict[str, object]:
    """Cut MobileNetV2 on CIFAR-10 by a ratio of the document's table."""
    prune = ("--learner=filter-pruned", f"--fp_prune_ratio={ratio}")
    report = mobilenet_run(context, context.seed, *prune, "--nb_epochs=3", "--enbl_dst", FLOAT)
    before, after = report["before"], report["after"]
    return {
        "top1": after["top1"],
        "change": after["top1"] - before["top1"],
        "flops_kept": after["flops"] / before["flops"],
        "params_kept": after["params"] / before["params"],
    }


def _tuned_row(
    size: int, budget: str, epochs: int, target: dict[str, str], *, searched: bool = False
) -> Row:
    name = f"resnet{size}-{budget}-{'searched' if searched else 'uniform'}-{epochs}"
    how = "200 scored networks, default agent" if searched else "one ratio"
    return Row(
        name=name,
        run=functools.partial(tuned, size=size, budget=budget, epochs=epochs, searched=searched),
        target=target,
        about=f"flops:{budget}, {how}, {epochs} epochs; peer: Torch-Pruning's best, distilled",
    )


ROWS = (
    *(
        Row(
            name=f"criteria-{budget}",
            run=functools.partial(criteria, budget=budget),
            target={"backward_over_lasso": ">= 0", "lasso_over_l1": ">= 0"},
            about=f"ResNet-20, flops:{budget}, before fine-tuning, one seed",
        )
        for budget in ("0.5", "0.6")
    ),
    _tuned_row(20, "0.5", 3, {"top1": ">= 0.899"}),
    _tuned_row(20, "0.5", 3, {"top1": ">= 0.905", "over_peer": ">= 0.008"}, searched=True),
    _tuned_row(20, "0.5", 1, {"over_peer": ">= 0.012"}, searched=True),
    _tuned_row(20, "0.6", 3, {"top1": ">= 0.908"}, searched=True),
    _tuned_row(20, "0.73", 3, {"top1": ">= 0.911"}, searched=True),
    _tuned_row(56, "0.5", 1, {"before": ">= 0.913", "top1": ">= 0.926"}, searched=True),
    _tuned_row(56, "0.5", 3, {"before": ">= 0.913", "top1": ">= 0.93"}, searched=True),
    Row(
        name="distillation",
        run=distillation,
        target={"effect_at_half": ">= 0.003", "effect_lowest": ">= -0.001"},
        about="ResNet-20, one ratio, 3 epochs with teacher and hints less 3 epochs without",
    ),
    Row(
        name="group-tuning",
        run=group_tuning,
        target={"auto_over_uniform": "> 0", "grouped_over_auto": "> 0"},
        about="learner channel, ResNet-20, flops:0.5: the direction of the document's table",
    ),
    Row(
        name="selection-channel",
        run=lambda context: selection_time(
            context, "--learner=channel", "--cp_prune_option=uniform"
        ),
        target=_FEW_SECONDS,
        about="ResNet-56, flops:0.5, LASSO and least squares",
    ),
    Row(
        name="selection-dis-chn-pruned",
        run=lambda context: selection_time(context, "--learner=dis-chn-pruned"),
        target=_FEW_SECONDS,
        about="ResNet-56, flops:0.5, iterations scaled to the data set",
    ),
    *(
        Row(
            name=f"method-{learner}",
            run=functools.partial(_halved, learner=learner),
            about="ResNet-20, flops:0.5, 3 epochs; peer: Torch-Pruning's best, distilled",
        )
        for learner in ("chn-pruned-gpu", "dis-chn-pruned", "filter-pruned")
    ),
    Row(
        name="controls",
        run=controls,
        about="ResNet-20 at flops:0.5, 3 epochs, one seed: the dense network trained on as long, "
        "and the small shape from scratch by plain Keras",
    ),
    Row(
        name="lenet-filters",
        run=lenet_filters,
        target={"params_kept": "<= 0.41", "change": ">= 0"},
        about="LeNet-5 on MNIST, l1_norm, four steps, 8 epochs after 8",
    ),
    *(
        Row(
            name=f"mobilenet-filters-{ratio}",
            run=functools.partial(mobilenet_filters, ratio=ratio),
            about="MobileNetV2 x0.25, filter-pruned, 3 epochs with distillation, one seed",
        )
        for ratio in (0.25, 0.35, 0.5)
    ),
)
