"""`chn-pruned-rmt` on CIFAR-10 with the pretrained ResNet-20: selection, accuracy, speed of files.

Fine-tuning: 3 epochs, batch 128, SGD with momentum 0.9 along half a cosine from `LRN_RATE`,
distillation from the unpruned network (weight 4, temperature 4) with hints from the ends of its
blocks (weight `LOSS_W_HINT`). The learning rate was chosen on a part of the training split (row
`resnet20-learning-rate`), that weight on the same part, after one epoch (`docs/training.md`).
Reported is the last epoch on the 10,000 test images, the mean of three seeds.
"""

from __future__ import annotations

import functools
import pathlib
import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import Context, Row, in_turns, real_data
from benchmarks.cifar_runs import cifar_run
from benchmarks.pruning_peers import adam_least_squares, l1_pruned, squared_error

if TYPE_CHECKING:
    import keras

    from nets.abstract_model_helper import AbstractModelHelper

SOURCES = ("learners", "nets", "datasets", "utils")

NUM_SEEDS = 3
NUM_EPOCHS = 3
LRN_RATE = 0.02
LOSS_W_HINT = 10.0
STREAMS_LRN_RATE = 0.01
CANDIDATE_RATES = (0.01, 0.02, 0.03)


def _helper(context: Context) -> AbstractModelHelper:
    from datasets.config import DataConfig
    from nets.resnet_at_cifar10 import ModelHelper

    context.data("weights/resnet20.npz")
    return ModelHelper(
        ModelHelper.config_class(data=DataConfig(data_dir_local=real_data.cifar10_for_a_row())),
        seed=context.seed,
    )


def _pretrained(context: Context, helper: AbstractModelHelper) -> keras.Model:
    from nets.pretrained import load_pretrained

    model = helper.build_model()
    path = context.data("weights/resnet20.npz") / "weights/resnet20.npz"
    load_pretrained(model, path, helper.npz_to_weights)
    return model


def _run(context: Context, seed: int, budget: str, *options: str) -> dict[str, Any]:
    return cifar_run(context, seed, "--learner=chn-pruned-rmt", f"--budget={budget}", *options)


def selection(context: Context) -> dict[str, object]:
    """Select over the whole network at the default flags; the row's process shows its memory."""
    report = _run(context, context.seed, "flops:0.5", "--nb_epochs=0", "--tflite=none")
    return {
        "seconds": report["seconds"]["selection"],
        "layers_refitted": sum("error" in row["facts"] for row in report["layers"]),
        "top1": report["after"]["top1"],
        "peer": {"seconds": 565.0},
    }


def reconstruction(context: Context) -> dict[str, object]:
    """Compare each layer's refit error with the original's 100 Adam steps, at half the channels.

    Both see the same samples of the unpruned network and keep the same number of channels; errors
    are relative to the output's energy, without the help of an offset for the original.
    """
    from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
    from learners.channels.groups import prunable_groups
    from learners.channels.lasso import channel_quadratic, lasso_mask
    from learners.reconstruction.least_squares import ReaderMoments, backward_order, refit_kernel
    from learners.reconstruction.readings import find_readings
    from learners.reconstruction.sampling import Sampler
    from learners.reconstruction.statistics import row_channels
    from utils.graph import from_keras, to_keras_with_tensors

    helper = _helper(context)
    graph = from_keras(_pretrained(context, helper))
    model, tensors = to_keras_with_tensors(graph)
    batches = helper.build_dataset_calibration(5000).map(lambda images, *rest: images)
    sampler = Sampler(batches, num_images=5000, num_positions=10, seed=context.seed)
    ratios = []
    for group in prunable_groups(graph, ChannelPrunedRmtConfig()):
        reader = group.readers[0]
        reading = next(iter(find_readings(graph, [reader.node], compensate=False)))
        source = tensors[reading.source]
        targets = sampler.targets([reading.item], _network(model, [source]))
        moments = sampler.statistics(
            reading.item,
            functools.partial(_outputs, _network(model, [source])),
            batches,
            targets[0],
        )
        kernel = reading.item.kernel.astype(np.float64)
        rows = row_channels(reader.channels, reading.item.window.num_positions)
        num_keep = group.size // 2
        theirs = lasso_mask(
            *channel_quadratic(moments, kernel, rows, group.size, centred=False), num_keep
        )
        order = backward_order([ReaderMoments(moments, rows, reading.centred)], group.size)
        kept = np.isin(rows, order[-num_keep:])
        ours, offset = refit_kernel(moments, kernel, kept, centred=reading.centred)
        original = adam_least_squares(moments, kernel * theirs[rows][:, None], theirs[rows])
        ratios.append(squared_error(moments, ours, offset) / squared_error(moments, original, 0.0))
        context.log(f"{reader.node}: {ratios[-1]:.3f} of the original's error")
    return {"worst_ratio": max(ratios), "mean_ratio": statistics.mean(ratios)}


def _network(model: keras.Model, tensors: list[Any]) -> keras.Model:
    import keras

    return keras.Model(model.inputs, tensors)


def _outputs(model: keras.Model, images: Any) -> list[Any]:
    import keras

    return keras.tree.flatten(model(images, training=False))


def before_fine_tuning(context: Context, budget: str) -> dict[str, object]:
    """Score the pruned network before any training, beside plain L1 at the same counts."""
    from pipeline import measurement

    report = _run(context, context.seed, budget, "--nb_epochs=0", "--tflite=none")
    helper = _helper(context)
    flops = report["after"]["flops"] / report["before"]["flops"]
    plain = l1_pruned(_pretrained(context, helper), budget)
    return {
        "top1": report["after"]["top1"],
        "flops_kept": flops,
        "peer": {"top1": measurement.score(helper, plain)["accuracy"], "flops_kept": flops},
    }


def fine_tuned(context: Context, budget: str) -> dict[str, object]:
    """Fine-tune with three seeds and read accuracy, file and latency figures off the reports."""
    reports = []
    for seed in range(context.seed, context.seed + NUM_SEEDS):
        reports.append(
            _run(
                context,
                seed,
                budget,
                f"--nb_epochs={NUM_EPOCHS}",
                "--enbl_dst",
                f"--loss_w_hint={LOSS_W_HINT}",
                f"--lrn_rate_ft={LRN_RATE}",
            )
        )
        context.log(f"seed {seed}: {reports[-1]['after']['top1']:.4f}")
    accuracies = [report["after"]["top1"] for report in reports]
    int8 = [_file(report, "int8") for report in reports]
    return {
        "top1": statistics.mean(accuracies),
        "top1_lowest": min(accuracies),
        "top1_highest": max(accuracies),
        "flops_kept": reports[0]["after"]["flops"] / reports[0]["before"]["flops"],
        "int8_gap_worst": max(abs(row["gap"]) for row in int8),
        "int8_agreement_lowest": min(row["agreement"] for row in int8),
        "latency_ratio": statistics.median(
            report["after"]["latency_ms_p50"] / report["before"]["latency_ms_p50"]
            for report in reports
        ),
        "fine_tuning_seconds": statistics.mean(r["seconds"]["fine_tuning"] for r in reports),
    }


def _file(report: dict[str, Any], kind: str) -> dict[str, Any]:
    """Find a file of the network after."""
    files = (row for row in report["files"] if row["network"] == "after")
    return next(row for row in files if row["kind"] == kind)


def streams(context: Context) -> dict[str, object]:
    """Cut the residual streams too (joint), beside inner: one seed, equal epochs, in turns."""
    from utils.export.runner import timed_call
    from utils.latency import measure, ratio

    # Without hints: the joint network's streams are cut, so that no block's end is left to compare.
    options = (f"--nb_epochs={NUM_EPOCHS}", "--enbl_dst", f"--lrn_rate_ft={STREAMS_LRN_RATE}")
    reports = {
        name: _run(context, context.seed, "flops:0.5", *options, f"--cpr_residual={name}")
        for name in ("inner", "joint")
    }
    figures: dict[str, Any] = {name: _figures(report) for name, report in reports.items()}
    for kind in ("float32", "int8"):
        runners = {}
        for name, report in reports.items():
            runners[name] = timed_call(_file(report, kind)["path"])
        stats = measure(runners, repeats=500, warmup=100)
        for name in reports:
            figures[name][f"{kind}_latency_ms"] = stats[name].p50
        figures["joint"][f"{kind}_latency_ratio"] = ratio(stats["joint"], stats["inner"]).median
    return {**figures["joint"], "peer": figures["inner"]}


def _figures(report: dict[str, Any]) -> dict[str, object]:
    return {
        "top1": report["after"]["top1"],
        "flops_kept": report["after"]["flops"] / report["before"]["flops"],
        "params": report["after"]["params"],
        "int8_bytes": _file(report, "int8")["file_bytes"],
    }


def mobilenet(context: Context) -> dict[str, object]:
    """Train MobileNetV2 x0.25 from scratch, at most 10 epochs; later rows start from the file."""
    from benchmarks.trained import mobilenet_v2

    _, report = mobilenet_v2(context)
    return {
        "top1": report["after"]["top1"],
        "params": report["after"]["params"],
        "flops": report["after"]["flops"],
        "training_seconds": report["seconds"]["training"],
    }


def learning_rate(context: Context) -> dict[str, object]:
    """Choose the fine-tuning rate: 3 epochs on 90 % of the training split, scored on the rest."""
    from utils import training
    from utils.files import load_keras_model

    report = _run(context, context.seed, "flops:0.5", "--nb_epochs=0", "--tflite=none")
    folder = pathlib.Path(report["after"]["path"]).parent
    helper = _helper(context)
    teacher = load_keras_model(folder / "model_before.keras")
    num_steps = NUM_EPOCHS * helper.steps_per_epoch
    scores = {}
    for rate in CANDIDATE_RATES:
        model = load_keras_model(folder / "model.keras")
        held_out = helper.build_dataset_train(True)[1]
        job = training.FitJob(
            make_train=lambda step: helper.build_dataset_train(True, first_step=step)[0],
            steps_per_epoch=helper.steps_per_epoch,
            num_steps=num_steps,
            optimizer=helper.build_optimizer(training.fine_tune_schedule(rate, num_steps)),
            loss=training.LossComposer(
                helper.calc_loss,
                [
                    training.distillation(),
                    training.hint(LOSS_W_HINT, training.common_maps(model, teacher)),
                ],
                teacher=teacher,
            ),
            state_path=context.work_dir / f"rate_{rate}.keras",
            seed=context.seed,
            stage=f"learning rate {rate}",
        )
        training.fit(model, job)
        scores[rate] = training.evaluate(model, held_out, helper.calc_loss)["accuracy"]
    best = max(scores, key=scores.__getitem__)
    return {"best_rate": best, **{f"held_out_top1_{rate}": top1 for rate, top1 in scores.items()}}


def speed(context: Context) -> dict[str, object]:
    """Time a training step and the .tflite files of the network at half its FLOPs, in turns.

    int8 also without AMX, whose tiles of 64 channels this network does not fill.
    """
    from benchmarks.without_amx import has_amx, measure_without_amx
    from utils.export.tflite import convert
    from utils.files import load_keras_model
    from utils.latency import file_call, measure, ratio

    report = _run(context, context.seed, "flops:0.5", "--nb_epochs=0", "--tflite=none")
    folder = pathlib.Path(report["after"]["path"]).parent
    helper = _helper(context)
    models = {
        name: load_keras_model(folder / file)
        for name, file in (("dense", "model_before.keras"), ("pruned", "model.keras"))
    }
    calls = {name: _training_step(helper, model) for name, model in models.items()}
    steps = in_turns(calls, rounds=20, warm_up=3)
    figures: dict[str, object] = {
        "training_step_ratio": statistics.median(
            pruned / dense for pruned, dense in zip(steps["pruned"], steps["dense"], strict=True)
        )
    }
    for kind in ("float32", "int8"):
        paths = {}
        for name, model in models.items():
            calibration = helper.build_dataset_calibration(100).map(lambda images, *rest: images)
            paths[name] = folder / f"{name}_{kind}.tflite"
            paths[name].write_bytes(convert(model, kind, calibration))
        calls = {name: file_call(path) for name, path in paths.items()}
        stats = measure(calls, repeats=500, warmup=100)
        figures[f"{kind}_latency_ratio"] = ratio(stats["pruned"], stats["dense"]).median
        figures[f"{kind}_latency_ms"] = stats["pruned"].p50
    figures["int8_latency_ratio_without_amx"] = figures["int8_latency_ratio"]
    if has_amx():
        pruned, dense = measure_without_amx([paths["pruned"], paths["dense"]])
        figures["int8_latency_ratio_without_amx"] = pruned / dense
    return figures


def _training_step(helper: AbstractModelHelper, model: keras.Model) -> Any:
    """Make a function that does one compiled step on a fixed batch."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
    optimizer.build(model.trainable_variables)
    images, labels = next(iter(helper.build_dataset_train()))

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss, _ = helper.calc_loss(labels, outputs, model.trainable_variables)
        optimizer.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]))
        return loss

    return lambda: step().numpy()


def pretrained(context: Context, size: int) -> dict[str, object]:
    """Load the public weights and score them on the whole test split."""
    from datasets.config import DataConfig
    from nets.pretrained import load_pretrained
    from nets.resnet_at_cifar10 import ModelHelper
    from pipeline import measurement

    path = context.data(f"weights/resnet{size}.npz") / f"weights/resnet{size}.npz"
    config = ModelHelper.config_class(
        resnet_size=size, data=DataConfig(data_dir_local=real_data.cifar10_for_a_row())
    )
    helper = ModelHelper(config, seed=context.seed)
    model = helper.build_model()
    load_pretrained(model, path, helper.npz_to_weights)
    return {"top1": measurement.score(helper, model)["accuracy"]}


ROWS = (
    Row(
        name="resnet20-pretrained",
        run=functools.partial(pretrained, size=20),
        target={"top1": ">= 0.9171"},
        about="public ResNet-20 weights on the 10,000 test images (published: 91.73 %)",
    ),
    Row(
        name="resnet56-pretrained",
        run=functools.partial(pretrained, size=56),
        target={"top1": ">= 0.9337"},
        about="public ResNet-56 weights on the 10,000 test images (published: 93.39 %)",
    ),
    Row(
        name="resnet20-selection",
        run=selection,
        target={"seconds": "<= 56", "peak_memory_mib": "<= 2048"},
        about="selection over the whole network, default flags, flops:0.5; peer: the original's "
        "recorded 565 s for its 22 convolutions",
    ),
    Row(
        name="resnet20-reconstruction",
        run=reconstruction,
        target={"worst_ratio": "<= 1.0"},
        about="error of each layer, refitted at the default flags, over that of the original's "
        "LASSO and 100 Adam steps, at half the channels",
    ),
    Row(
        name="resnet20-0.6-before",
        run=functools.partial(before_fine_tuning, budget="flops:0.6"),
        target={"top1": ">= 0.83"},
        about="flops:0.6, inner, before fine-tuning; peer: plain L1, same channels per layer",
    ),
    Row(
        name="resnet20-0.5-before",
        run=functools.partial(before_fine_tuning, budget="flops:0.5"),
        target={"top1": ">= 0.78"},
        about="flops:0.5, inner, before fine-tuning; peer: plain L1, same channels per layer",
    ),
    Row(
        name="resnet20-speed",
        run=speed,
        target={
            "training_step_ratio": "<= 0.80",
            "float32_latency_ratio": "<= 0.72",
            "int8_latency_ratio": "<= 0.80",
            "int8_latency_ratio_without_amx": "<= 0.80",
        },
        about="flops:0.5, inner, over the dense network: training step, .tflite latency, in turns",
    ),
    Row(
        name="resnet20-learning-rate",
        run=learning_rate,
        about="fine-tuning on 90 % of the training split, scored on the other 10 %",
    ),
    Row(
        name="resnet20-0.5-joint",
        run=streams,
        about="flops:0.5, joint (streams cut too), 3 epochs with distillation; peer: inner",
    ),
    Row(
        name="mobilenetv2-x0.25-trained",
        run=mobilenet,
        about="MobileNetV2 x0.25 on CIFAR-10 from scratch, 4 epochs; other rows use its file",
    ),
    Row(
        name="resnet20-0.6",
        run=functools.partial(fine_tuned, budget="flops:0.6"),
        target={
            "top1": ">= 0.90",
            "int8_gap_worst": "<= 0.003",
            "int8_agreement_lowest": ">= 0.985",
        },
        about="flops:0.6, inner, 3 epochs with distillation, mean of 3 seeds",
    ),
    Row(
        name="resnet20-0.5",
        run=functools.partial(fine_tuned, budget="flops:0.5"),
        target={
            "top1": ">= 0.894",
            "int8_gap_worst": "<= 0.003",
            "int8_agreement_lowest": ">= 0.985",
        },
        about="flops:0.5, inner, 3 epochs with distillation, mean of 3 seeds",
    ),
)
