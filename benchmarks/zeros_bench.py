"""What scattered zeros are worth: files, an Ethos-U, tiles of a Dense layer; and `Prune`.

Files are of the pretrained ResNet-20 with the smallest weights of each kernel but the first at
zero, without training: their bytes and cycles do not depend on what the weights are worth.
"""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import Context, Row

if TYPE_CHECKING:
    import keras

SOURCES = ("learners", "nets", "datasets", "utils")

RATES = (0.5, 0.75, 0.875, 0.9375)
NUM_EPOCHS = 4  # of LeNet-5 before and with Prune
ACCELERATOR = "ethos-u55-128"


def files(context: Context, ratio: float) -> dict[str, object]:
    """Measure the files of ResNet-20 with a ratio of zeros over those of the dense one."""
    from learners.sparsity.prune import Prune
    from nets.pretrained import load_pretrained
    from nets.resnet_at_cifar10 import ModelHelper

    weights = context.data("weights/resnet20.npz") / "weights/resnet20.npz"
    helper = ModelHelper(seed=context.seed)
    model = helper.build_model()
    load_pretrained(model, weights, helper.npz_to_weights)
    dense = _sizes(model)
    first = next(layer.name for layer in model.layers if layer.weights)
    Prune(model, {first: 0, "*": ratio}).prune()
    sparse = _sizes(model, with_sparse=True)
    shares = {f"{name}_share": sparse[name] / dense[name] for name in dense}
    return {**sparse, **shares, "sparse_share": sparse["sparse"] / dense["float32"]}


def _sizes(model: keras.Model, *, with_sparse: bool = False) -> dict[str, int]:
    """Give bytes and cycles of a network's files; ranges from noise, which bytes do not mind."""
    from utils.export.ethos_u import Target, estimate
    from utils.export.tflite import convert

    images = np.random.default_rng(0).normal(size=(20, *model.input_shape[1:]))
    normal, int8 = convert(model, "float32"), convert(model, "int8", [images])
    device = estimate(int8, Target(accelerator=ACCELERATOR))
    found = {
        "float32": len(normal),
        "float32_deflated": len(zlib.compress(normal, 9)),
        "int8_deflated": len(zlib.compress(int8, 9)),
        "encoded": device.encoded_bytes,
        "cycles": device.cycles,
    }
    return found | ({"sparse": len(convert(model, "sparse"))} if with_sparse else {})


def tiles(context: Context, tile: int) -> dict[str, object]:
    """Time the sparse file of two Dense layers, 90 % zeros in tiles, over the normal file."""
    import keras

    from learners.sparsity.prune import Prune
    from utils import latency
    from utils.export.runner import timed_call
    from utils.export.tflite import convert

    keras.utils.set_random_seed(context.seed)
    inputs = keras.Input((1024,))
    x = keras.layers.Dense(1024, activation="relu", name="first")(inputs)
    x = keras.layers.Dense(1024, activation="relu", name="second")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, name="head")(x))
    granularity = "element" if tile == 1 else f"1x{tile}"
    Prune(model, {"first": 0.9, "second": 0.9}, granularity=granularity).prune()
    contents = {kind: convert(model, kind) for kind in ("float32", "sparse")}
    stats = latency.measure_anew(
        {kind: functools.partial(timed_call, content) for kind, content in contents.items()},
        repeats=200,
        warmup=50,
    )
    found = latency.ratio(stats["sparse"], stats["float32"])
    return {
        "time": found.median,
        "low": found.interval.low,
        "high": found.interval.high,
        "bytes": len(contents["sparse"]) / len(contents["float32"]),
    }


def lenet_rates(context: Context) -> dict[str, object]:
    """Train LeNet-5 on MNIST, then on with `Prune` to each rate; the document's table."""
    from learners.sparsity.prune import Prune
    from learners.sparsity.rate_table import rate_table
    from utils.graph import complexity, from_keras
    from utils.report import network_facts

    helper = _lenet_helper(context)
    steps = helper.steps_per_epoch
    dense = _compiled(helper.build_model())
    _fit(dense, helper, 2 * NUM_EPOCHS)  # the dense network trains as long as the others in all
    start = _compiled(helper.build_model())
    _fit(start, helper, NUM_EPOCHS)
    weights = start.get_weights()
    networks: dict[float, Any] = {0.0: dense}
    for rate in RATES:
        model = networks[rate] = _compiled(helper.build_model())
        model.set_weights(weights)
        times = {"pretrain_step": 0, "sparse_step": 2 * steps, "frequency": steps // 2}
        prune = Prune(model, {"conv1": 0, "*": rate}, progression="geometric", **times)
        _fit(model, helper, NUM_EPOCHS, prune.callback())
    facts, accuracies = [], {}
    for rate, model in networks.items():
        _, top1 = model.evaluate(helper.build_dataset_eval(), verbose=0)
        accuracies[rate] = float(top1)
        cost = complexity(from_keras(model))
        facts.append(
            network_facts(
                model.get_weights(),
                top1=accuracies[rate],
                flops=cost.flops,
                sparse_flops=cost.sparse_flops,
            )
        )
    context.log("\n" + rate_table("lenet5", facts))
    found = {f"top1_{100 * rate:g}": top1 for rate, top1 in accuracies.items()}
    return {**found, "change": accuracies[RATES[-1]] - accuracies[0.0]}


def _lenet_helper(context: Context) -> Any:
    from datasets.config import DataConfig
    from nets.lenet5_at_mnist import ModelHelper

    data = DataConfig(data_dir_local=str(context.data("mnist") / "mnist"))
    return ModelHelper(ModelHelper.config_class(data=data), seed=context.seed)


def _compiled(model: keras.Model) -> keras.Model:
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), loss, metrics=["accuracy"])
    return model


def _fit(model: keras.Model, helper: Any, epochs: int, *callbacks: Any) -> None:
    model.fit(
        helper.build_dataset_train(),
        steps_per_epoch=helper.steps_per_epoch,
        epochs=epochs,
        callbacks=list(callbacks),
        verbose=0,
    )


def _files_row(percent: int, target: dict[str, str]) -> Row:
    return Row(
        name=f"resnet20-files-{percent}",
        run=functools.partial(files, ratio=percent / 100),
        target=target,
        about=f"{percent} % zeros: bytes, and cycles on {ACCELERATOR}, over those of the dense one",
    )


ROWS = (
    _files_row(50, {"sparse_share": "<= 0.8", "encoded_share": "<= 0.75"}),
    _files_row(75, {"sparse_share": "<= 0.45", "encoded_share": "<= 0.45"}),
    _files_row(90, {"sparse_share": "<= 0.25", "encoded_share": "<= 0.25"}),
    Row(
        name="dense-scattered",
        run=functools.partial(tiles, tile=1),
        target={"high": ">= 0.95"},
        about="two Dense layers of 1,024, 90 % scattered zeros: sparse file over normal file",
    ),
    Row(
        name="dense-1x4",
        run=functools.partial(tiles, tile=4),
        target={"time": "<= 0.5", "bytes": "<= 0.2"},
        about="the same in tiles of four inputs of an output",
    ),
    Row(
        name="lenet5-rates",
        run=lenet_rates,
        target={"change": ">= -0.003"},
        about=f"LeNet-5 on MNIST, {NUM_EPOCHS} epochs, then {NUM_EPOCHS} with Prune to each rate; "
        "change: 93.75 % against the dense network after as many",
    ),
)
