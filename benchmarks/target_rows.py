"""What half of a network's multiply-adds is worth on an Ethos-U.

Counts of channels by one ratio for all layers, no training: cycles and bytes do not depend on what
the weights are worth, but for a little of their encoding.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from benchmarks import Context, Row

TARGET = "ethos-u55-128"
BOTH = "flops:0.5,cycles:0.6"


def half(context: Context) -> dict[str, object]:
    """Cut the pretrained ResNet-20 inside its blocks and compile it, over the whole network."""
    from learners.budget import parse_budget
    from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
    from learners.channels.cost import NetworkCost
    from learners.channels.groups import channel_budget, prunable_groups
    from nets.pretrained import load_pretrained
    from nets.resnet_at_cifar10 import ModelHelper
    from utils.graph import from_keras

    weights = context.data("weights/resnet20.npz") / "weights/resnet20.npz"
    helper = ModelHelper(seed=context.seed)
    model = helper.build_model()
    load_pretrained(model, weights, helper.npz_to_weights)
    graph = from_keras(model)
    config = ChannelPrunedRmtConfig().in_multiples_of(8)
    groups = prunable_groups(graph, config)
    cost = NetworkCost(graph, groups)
    budget = dataclasses.replace(parse_budget(BOTH), target=TARGET)
    channels = channel_budget(graph, groups, config, budget)
    counted = channel_budget(graph, groups, config, parse_budget("flops:0.5")).uniform()
    whole = _compiled(cost, np.array([group.size for group in groups]))
    found: dict[str, object] = {"whole_cycles": whole["cycles"], "whole_sram": whole["sram"]}
    for name, values in (("", channels.refined(channels.uniform())), ("by_flops_", counted)):
        each = _compiled(cost, values)
        found |= {f"{name}{key}": each[key] / whole[key] for key in ("flops", "cycles", "sram")}
        found[f"{name}on_cpu"] = each["on_cpu"]
    return found


def _compiled(cost: Any, values: np.ndarray) -> dict[str, float]:
    """Compile a candidate; ranges from noise, which cycles do not mind."""
    from utils.export.targets_cost import device_cost
    from utils.export.tflite import convert
    from utils.graph import complexity, to_keras

    graph = cost.cut(values)
    model = to_keras(graph)
    images = np.random.default_rng(0).normal(size=(20, *model.input_shape[1:]))
    said = device_cost(convert(model, "int8", [images], target=TARGET), TARGET)
    if said.estimate is None:
        raise ValueError("the compiler gave no estimate.")
    return {
        "flops": complexity(graph).flops,
        "cycles": said.estimate.cycles,
        "sram": said.sram_bytes,
        "on_cpu": len(said.estimate.cpu_operators),
    }


ROWS = (
    Row(
        name="resnet20-ethos-u55-half",
        run=half,
        target={"flops": "<= 0.5", "cycles": "<= 0.6", "on_cpu": "== 0", "by_flops_on_cpu": "== 0"},
        about=f"{TARGET}: int8 file cut to {BOTH} at one ratio, and to half the FLOPs alone "
        "(by_flops), over the whole network's",
    ),
)
