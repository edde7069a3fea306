"""Spoken digits: keyword spotters halved, on the official split and on voices never heard.

Each network is trained for 20 epochs, pruned to half its FLOPs and fine-tuned for 5 with
distillation from the network before, in one run of `main.py` as the page `docs/fsdd.md` says. The
official test split is 300 recordings (one is 0.33 points), a speaker's is 500.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import statistics
from typing import Any

from benchmarks import Context, Row

SOURCES = ("learners", "nets", "datasets", "utils")

NUM_SEEDS = 3
NUM_EPOCHS = "20,5"


@dataclasses.dataclass(frozen=True)
class Network:
    """A helper and what its command has besides.

    Attributes:
        helper: its name.
        options: more flags.
    """

    helper: str
    options: tuple[str, ...] = ()


# A recurrent layer's int8 file needs an unrolled loop; Adam's rates are smaller than SGD's.
GRU = Network("gru_at_fsdd", ("--lrn_rate_ft=0.002", "--tflite=float32"))
DSCNN = Network("dscnn_at_fsdd", ("--tflite=float32",))


def _run(context: Context, network: Network, split: str, seed: int) -> dict[str, Any]:
    """Train, prune and fine-tune as a user does; a finished run is taken as it is."""
    import main

    folder = context.work_dir / f"{split.replace(':', '_')}_{seed}"
    if not (folder / "report.json").exists():
        status = main.run(
            [
                f"--model_helper={network.helper}",
                "--learner=full-prec,chn-pruned-rmt",
                "--budget=flops:0.5",
                "--enbl_dst",
                f"--nb_epochs={NUM_EPOCHS}",
                f"--split={split}",
                f"--data_dir_local={context.data('fsdd/fsdd_8k_int16.npz')}/fsdd",
                f"--seed={seed}",
                f"--out_dir={folder}",
                *network.options,
            ]
        )
        if status:
            raise RuntimeError(f"main.run gave status {status}; its error is above.")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    accuracies = [report[when]["top1"] for when in ("before", "after")]
    context.log(f"{split}, seed {seed}: {accuracies[0]:.4f} before, {accuracies[1]:.4f} after")
    return report


def official(context: Context, network: Network) -> dict[str, object]:
    """Halve the network with three seeds, on the official split."""
    seeds = range(context.seed, context.seed + NUM_SEEDS)
    reports = [_run(context, network, "official", seed) for seed in seeds]
    lost = [report["before"]["top1"] - report["after"]["top1"] for report in reports]
    return {
        **_mean(reports),
        "points_lost_worst": 100 * max(lost),
        "flops_kept": reports[0]["after"]["flops"] / reports[0]["before"]["flops"],
        "params_kept": reports[0]["after"]["params"] / reports[0]["before"]["params"],
        "latency_ratio": statistics.median(
            report["after"]["latency_ms_p50"] / report["before"]["latency_ms_p50"]
            for report in reports
        ),
        "training_seconds": statistics.mean(r["seconds"]["training"] for r in reports),
        "selection_seconds": statistics.mean(r["seconds"]["selection"] for r in reports),
    }


def speakers(context: Context, network: Network) -> dict[str, object]:
    """Halve the network six times, each time trained without one of the speakers."""
    from datasets.fsdd_dataset import SPEAKERS

    reports = {name: _run(context, network, f"speaker:{name}", context.seed) for name in SPEAKERS}
    figures = {f"top1_{name}": report["after"]["top1"] for name, report in reports.items()}
    peer = {f"top1_{name}": report["before"]["top1"] for name, report in reports.items()}
    mean = _mean(list(reports.values()))
    return {**mean, **figures, "peer": {"top1": mean["top1_before"], **peer}}


def _mean(reports: list[dict[str, Any]]) -> dict[str, object]:
    before, after = (
        statistics.mean(report[when]["top1"] for report in reports) for when in ("before", "after")
    )
    return {"top1": after, "top1_before": before, "points_lost": 100 * (before - after)}


def _rows(name: str, network: Network, title: str) -> tuple[Row, ...]:
    return (
        Row(
            name=f"{name}-0.5",
            run=functools.partial(official, network=network),
            target={"points_lost": "<= 1", "flops_kept": "<= 0.505"},
            about=f"{title}, flops:0.5, 5 epochs with distillation, official split; mean of 3",
        ),
        Row(
            name=f"{name}-0.5-speakers",
            run=functools.partial(speakers, network=network),
            target={"points_lost": "<= 1"},
            about=f"{title}, the same, each speaker held out once, mean of 6; peer: before pruning",
        ),
    )


ROWS = (*_rows("gru", GRU, "two GRU layers"), *_rows("dscnn", DSCNN, "DS-CNN"))
