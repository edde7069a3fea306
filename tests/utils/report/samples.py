"""Reports for the tests, filled with figures such as a run leaves."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from utils.report import (
    Bounds,
    Candidate,
    Capability,
    ClassChange,
    Estimate,
    File,
    Layer,
    Machine,
    Network,
    OnDevice,
    Report,
    Rollout,
    Search,
    Tensor,
    TrainingPoint,
)

BEFORE = Network(
    top1=0.9173,
    num_samples=10_000,
    top1_interval=Bounds(low=0.9117, high=0.9225),
    params=272_474,
    nonzeros=272_474,
    sparsity=0.0,
    flops=40_813_184,
    peak_activations=49_152,
    file_bytes=1_186_304,
    file_bytes_deflated=1_012_100,
    latency_ms_p50=0.431,
    latency_ms_p95=0.472,
    path="models/model.keras",
)
AFTER = Network(
    top1=0.8941,
    num_samples=10_000,
    top1_interval=Bounds(low=0.8879, high=0.9),
    change=Estimate(value=-0.0232, low=-0.028, high=-0.0184),
    params=139_018,
    nonzeros=139_018,
    sparsity=0.0,
    flops=20_406_592,
    peak_activations=40_960,
    file_bytes=655_360,
    file_bytes_deflated=540_000,
    latency_ms_p50=0.298,
    latency_ms_p95=0.33,
    path="models_cpr_eval/model.keras",
)


def report(**changes: Any) -> Report:
    """A small report with everything required and nothing else."""
    values: dict[str, Any] = {
        "created": "2026-03-01T12:00:00+00:00",
        "learner": ("chn-pruned-rmt",),
        "model_helper": "resnet_at_cifar10",
        "dataset": "cifar10",
        "seed": 0,
        "versions": {"python": "3.11.7"},
        "machine": Machine(cpu="Test CPU", cores=2, os="Linux x86_64"),
        "before": BEFORE,
        "after": AFTER,
    }
    return Report(**(values | changes))


def file(kind: str = "int8", **changes: Any) -> File:
    """A file of the network after that passed its check."""
    values: dict[str, Any] = {
        "kind": kind,
        "path": f"models_cpr_eval/model_{kind}.tflite",
        "num_samples": 10_000,
        "top1": 0.8935,
        "top1_interval": Bounds(low=0.8873, high=0.8994),
        "change": Estimate(value=-0.0238, low=-0.0287, high=-0.0189),
        "metrics": {"loss": 0.34},
        "agreement": 0.9902,
        "gap": 0.0006,
        "gap_interval": Bounds(low=-0.0009, high=0.0021),
        "error": 0.04,
        "file_bytes": 171_000,
        "file_bytes_deflated": 132_000,
        "latency_ms_p50": 0.094,
        "latency_ms_p95": 0.101,
        "latency_ratio": Estimate(value=0.45, low=0.43, high=0.47),
        "passed": True,
        "inputs": (
            Tensor(
                name="images",
                shape=(1, 32, 32, 3),
                dtype="int8" if kind == "int8" else "float32",
                scale=2 / 255 if kind == "int8" else None,
                zero_point=-128 if kind == "int8" else None,
            ),
        ),
    }
    return File(**(values | changes))


def file_before(kind: str = "int8", **changes: Any) -> File:
    """A file of the network before, which is held against no limit."""
    values: dict[str, Any] = {
        "network": "before",
        "path": f"models_cpr_eval/model_before_{kind}.tflite",
        "top1": 0.9173,
        "top1_interval": Bounds(low=0.9117, high=0.9225),
        "change": None,
        "file_bytes": 306_500,
        "file_bytes_deflated": 240_000,
        "latency_ms_p50": 0.209,
        "latency_ms_p95": 0.224,
        "latency_ratio": None,
        "passed": None,
    }
    return file(kind, **(values | changes))


def on_device(**changes: Any) -> OnDevice:
    """What a compiler might estimate of a file."""
    values: dict[str, Any] = {
        "device": "ethos-u55-128",
        "sram_bytes": 40_000,
        "system_config": "Ethos_U55_High_End_Embedded",
        "memory_mode": "Shared_Sram",
        "weight_bytes": 270_000,
        "encoded_bytes": 80_000,
        "cycles": 1_000_000,
        "milliseconds": 2.0,
        "memory_bytes": {"SRAM": 40_000},
    }
    return OnDevice(**(values | changes))


def pair(kind: str = "int8", **changes: Any) -> tuple[File, File]:
    """A file before, and one after with other figures."""
    return file_before(kind), file(kind, **changes)


def layers(num_blocks: int = 9) -> tuple[Layer, ...]:
    """Layers of a residual network cut inside its blocks."""
    rows = [_layer("conv1", 3, 16, 3, 16, 0.0)]
    for block in range(num_blocks):
        width = 16 * 2 ** (block // 3 % 3)
        inner = round(width * (0.35 + 0.05 * (block % 9)))
        rows.append(_layer(f"stage{block // 3 + 1}_{block % 3}_conv1", width, width, width, inner))
        rows.append(_layer(f"stage{block // 3 + 1}_{block % 3}_conv2", width, width, inner, width))
    rows.append(_layer("logits", 64, 10, 64, 10, None, op="Dense"))
    return tuple(rows)


def _layer(
    name: str,
    inputs: int,
    outputs: int,
    inputs_after: int,
    outputs_after: int,
    error: float | None = 0.031,
    op: str = "Conv2D",
) -> Layer:
    taps, places = (9, 1024) if op == "Conv2D" else (1, 1)
    before, after = taps * inputs * outputs, taps * inputs_after * outputs_after
    return Layer(
        name=name,
        op=op,
        channels_in_before=inputs,
        channels_in_after=inputs_after,
        channels_out_before=outputs,
        channels_out_after=outputs_after,
        params_before=before,
        params_after=after,
        flops_before=before * places,
        flops_after=after * places,
        ratio=1 - inputs_after / inputs,
        sparsity_before=0.0,
        sparsity_after=0.0,
        bits_before=32,
        bits_after=32,
        facts={} if error is None else {"error": error},
    )


def training(num_epochs: int = 8) -> tuple[TrainingPoint, ...]:
    """Two stages: training, then fine-tuning with validation."""
    points = [
        TrainingPoint(
            stage="training",
            epoch=epoch,
            step=390 * epoch,
            loss=0.3 + 2 * math.exp(-epoch / 2),
            accuracy=0.9 - 0.6 * math.exp(-epoch / 2),
        )
        for epoch in range(1, num_epochs + 1)
    ]
    points += [
        TrainingPoint(
            stage="fine_tuning",
            epoch=epoch,
            step=390 * epoch,
            loss=0.5 / epoch,
            accuracy=0.88 + 0.01 * epoch,
            others={"val_loss": 0.6 / epoch, "val_accuracy": 0.87 + 0.01 * epoch},
        )
        for epoch in range(1, 4)
    ]
    return tuple(points)


def search(num_rollouts: int = 60) -> Search:
    """A search that found something better than uniform, with one failed trial."""
    rewards: list[float | None] = [
        0.55 + 0.3 * (1 - math.exp(-k / 20)) + 0.04 * math.sin(12.9 * k)
        for k in range(num_rollouts)
    ]
    rewards[5] = None
    rollouts, best = [], None
    for index, reward in enumerate(rewards):
        best = max((value for value in (best, reward) if value is not None), default=None)
        rollouts.append(
            Rollout(
                index=index,
                reward=reward,
                best=best,
                seconds=1.2,
                accuracy=reward,
                cost={"flops": 2e7 + 1e4 * (index % 7)},
            )
        )
    names = [layer.name for layer in layers()[1:-1]]
    return Search(
        stage="chn-pruned-rmt",
        agent="ddpg",
        budget="flops:0.5",
        rollouts=tuple(rollouts),
        winner=Candidate(
            index=57,
            reward=0.87,
            top1=0.899,
            setting={name: 0.3 + 0.02 * k for k, name in enumerate(names)},
            cost={"flops": 2.04e7},
        ),
        uniform=Candidate(
            reward=0.82, top1=0.8941, setting=dict.fromkeys(names, 0.47), cost={"flops": 2.04e7}
        ),
        kept="winner",
    )


def full_report(**changes: Any) -> Report:
    """A report in which every entry is filled."""
    values: dict[str, Any] = {
        "command": ("main.py", "--model_helper=resnet_at_cifar10", "--out_dir=my runs/a"),
        "learner": ("full-prec", "chn-pruned-rmt"),
        "config": {
            "learner": "full-prec,chn-pruned-rmt",
            "model_helper": "resnet_at_cifar10",
            "cpr_prune_ratio": 0.5,
            "cpr_nb_smpls": 5000,
            "cpr_warm_start": False,
            "cpr_skip_op_names": None,
            "budget": "flops:0.5",
            "data_dir_local": "/data/cifar-10-batches-bin/a/rather/long/path/to/be/broken",
        },
        "versions": {"python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.1"},
        "seconds": {
            "selection": 38.2,
            "fine_tuning": 312.0,
            "evaluation": 5.1,
            "export": 9.9,
            "total": 366.1,
        },
        "files": (
            file_before("float32", file_bytes=1_092_696, latency_ms_p50=0.431),
            file_before("dynamic", file_bytes=299_368),
            file_before("int8"),
            file("float32", file_bytes=590_000, latency_ms_p50=0.298, gap=0.0, agreement=1.0),
            file("dynamic", file_bytes=180_000, latency_ms_p50=0.35),
            file("int8", notes=("gru stands unrolled in the int8 file.",)),
        ),
        "changed_flags": ("budget",),
        "classes": (
            ClassChange(
                label=0, num_samples=1000, right_before=930, right_after=930, lost=0, gained=0
            ),
            ClassChange(
                label=3,
                num_samples=1000,
                right_before=830,
                right_after=800,
                lost=45,
                gained=15,
                taken_for=5,
            ),
        ),
        "control": replaced(
            BEFORE,
            top1=0.9192,
            change=Estimate(value=0.0019, low=-0.0011, high=0.0049),
            latency_ms_p50=None,
            latency_ms_p95=None,
        ),
        "versus_control": Estimate(value=-0.0251, low=-0.0301, high=-0.0201),
        "layers": layers(),
        "training": training(),
        "capability": (
            Capability(
                layer="stem_norm",
                action="kept",
                reason="LayerNormalization mixes all channels of a position",
            ),
        ),
        "searches": (search(),),
        "notes": ("Fine-tuning used distillation (weight 4, temperature 4).",),
    }
    return report(**(values | changes))


def replaced(network: Network, **changes: Any) -> Network:
    """A network with other figures."""
    return dataclasses.replace(network, **changes)


def decided_deflated(**changes: Any) -> Report:
    """A report of a run that looked for the smallest deflated int8 file."""
    files = (file_before(file_bytes_deflated=251_000), file(file_bytes_deflated=63_000))
    found = dataclasses.replace(search(), quantity="joint", deflated=True)
    return report(**({"files": files, "searches": (found,)} | changes))
