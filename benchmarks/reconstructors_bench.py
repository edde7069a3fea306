"""Rebuilt networks: the pretrained ResNets in PyTorch and ONNX, over all test images.

A network goes from its weights into Keras, from there through its graph into the other framework;
outputs are compared on all 10,000 test images of CIFAR-10.
"""

from __future__ import annotations

import functools
import pathlib
import time
from typing import Any

import numpy as np

from benchmarks import Context, Row, SkipRow, real_data

SOURCES = ("utils/reconstructors", "utils/graph", "nets")

_PACKAGES = {"torch": "torch", "onnx": "onnxruntime"}


def pretrained(context: Context, size: int) -> tuple[Any, Any]:
    """Give the helper of a pretrained ResNet on CIFAR-10, and the network with its weights.

    Raises:
        SkipRow: without the data.
    """
    import nets
    from nets.pretrained import load_pretrained
    from utils import flags

    helper_class = nets.load_helper_class("resnet_at_cifar10")
    argv = [f"--resnet_size={size}", f"--data_dir_local={real_data.cifar10_for_a_row()}"]
    config = flags.parse(argv, [helper_class.config_class]).configs[helper_class.config_class]
    helper = helper_class(config, seed=context.seed)
    model = helper.build_model()
    weights = f"weights/resnet{size}.npz"
    load_pretrained(model, context.data(weights) / weights, helper.npz_to_weights)
    return helper, model


def compared(context: Context, size: int, kind: str, *, cut: bool = False) -> dict[str, float]:
    """Rebuild a ResNet and run it beside the one in Keras.

    Args:
        context: the row's.
        size: layers of the ResNet.
        kind: what it is rebuilt as.
        cut: cut a third of the channels first, at random: slices and channel padding change.

    Returns:
        `distance`: max |difference| / max |output|; `agreement` of the predictions; `top1` of the
        rebuilt network; `seconds` of rebuilding, its check included.
    """
    import importlib.util

    from utils.graph import from_keras, shrink, to_keras
    from utils.graph.law import random_keep
    from utils.reconstructors import targets

    if importlib.util.find_spec(_PACKAGES[kind]) is None:
        raise SkipRow(f"needs the package {_PACKAGES[kind]}")
    helper, model = pretrained(context, size)
    graph = from_keras(model)
    if cut:
        graph = shrink(graph, random_keep(graph, 1 / 3, context.seed))
        model = to_keras(graph)
    start = time.perf_counter()
    target = targets.TARGETS[kind]
    run = target.make(graph, pathlib.Path(context.work_dir) / f"net{target.ending}", False)
    targets.run_at_border(target, graph, run, targets.random_inputs(graph), channels_last=False)
    seconds = time.perf_counter() - start
    largest = difference = 0.0
    right = same = count = 0
    for images, truth in helper.build_dataset_eval():
        labels = np.asarray(helper.plain_labels(truth))
        labels = labels.argmax(-1) if labels.ndim > 1 else labels
        (found,) = targets.run_at_border(
            target, graph, run, [np.asarray(images)], channels_last=False
        )
        wanted = np.asarray(model(images, training=False))
        difference = max(difference, float(np.abs(found - wanted).max()))
        largest = max(largest, float(np.abs(wanted).max()))
        right += int(np.sum(found.argmax(-1) == labels))
        same += int(np.sum(found.argmax(-1) == wanted.argmax(-1)))
        count += len(labels)
    return {
        "distance": difference / largest,
        "agreement": same / count,
        "top1": right / count,
        "seconds": seconds,
    }


_TARGET = {"distance": "<= 1e-4", "agreement": ">= 0.9999"}


def _row(size: int, kind: str, *, cut: bool = False) -> Row:
    what = ", a third of its channels cut" if cut else ""
    return Row(
        name=f"resnet{size}{'-cut' if cut else ''}-{kind}",
        run=functools.partial(compared, size=size, kind=kind, cut=cut),
        target=_TARGET,
        about=f"ResNet-{size}{what}, graph to {kind}, against Keras on 10,000 test images",
    )


ROWS = (
    _row(20, "torch"),
    _row(20, "onnx"),
    _row(20, "torch", cut=True),
    _row(56, "torch"),
    _row(56, "onnx"),
)
