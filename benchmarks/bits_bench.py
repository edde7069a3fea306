"""Weights and activations of few bits on CIFAR-10's pretrained networks.

ResNet-20, dense 91.73 %; the first and the last layer have 8 bits. Without training: 5,000 training
images, 10 positions each. Training: batch 128, SGD from rate 0.01 along half a cosine, distillation
from the network before at the temperature of the width; the mean of three seeds of the last epoch
on the 10,000 test images.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import Context, Row, packed_rows
from benchmarks.cifar_runs import NUM_SEEDS, cifar_run, mobilenet_run, over_seeds, spread

SOURCES = ("learners", "nets", "datasets", "rl_agents", "utils", "pipeline")

UNIFORM = ("--learner=uniform", "--uql_use_buckets")
UNTRAINED = ("--nb_epochs=0", "--tflite=none")
TRAINED = ("--nb_epochs=4", "--enbl_dst", "--tflite=none")
SEARCH = ("--uql_nb_rlouts=100",)
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
    seeds = range(context.seed, context.seed + NUM_SEEDS)
    reports = [mobilenet_run(context, seed, *options, *TRAINED) for seed in seeds]
    top1 = spread(reports)["top1"]
    dense = reports[0]["before"]["top1"]
    return {"dense": dense, "top1": top1, "loss": dense - top1}


def _uniform_rows() -> list[Row]:
    rows = []
    for bits, top1 in ((4, ">= 0.916"), (3, ">= 0.914"), (2, ">= 0.893")):
        options: tuple[str, ...] = (*UNIFORM, f"--uql_weight_bits={bits}")
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


def bit_search(context: Context, *options: str) -> dict[str, object]:
    """Search for the bits of each layer; the winner beside equal bits, on the test images."""
    reports = over_seeds(context, *options, *SEARCH)
    gains = [_gain(report) for report in reports]
    return {
        "top1": statistics.mean(_candidate(report, _found(report)) for report in reports),
        "uniform": statistics.mean(_candidate(report, "uniform") for report in reports),
        "gain": statistics.mean(gains),
        "least_gain": min(gains),
    }


def agents_on_bits(context: Context, *options: str) -> dict[str, object]:
    """Compare the first answer of `dp` with 200 roll-outs of `ddpg`, before training.

    Times are those of the roll-outs and of all that the agents score and learn; the tables, which
    both look up, come with the first roll-out and are not counted.
    """
    found = {}
    for agent, number in (("dp", 2), ("ddpg", 200)):
        limits = (f"--uql_nb_rlouts={number}", f"--uql_nb_rlouts_min={number}")
        flags = (*options, *SEARCH, *UNTRAINED, f"--agent={agent}", *limits)
        report = cifar_run(context, context.seed, *flags)
        rollouts = _search_of(report)["rollouts"]
        found[agent] = (max(each["reward"] for each in rollouts if each["reward"] is not None),
                        sum(each["seconds"] for each in rollouts[1:]))  # fmt: skip
    return {
        "dp_reward": found["dp"][0],
        "ddpg_reward": found["ddpg"][0],
        "behind": found["ddpg"][0] - found["dp"][0],
        "dp_seconds": found["dp"][1],
        "share_of_time": found["dp"][1] / found["ddpg"][1],
    }


def _found(report: Mapping[str, Any]) -> str:
    """Name what the search found, whether or not it was kept in the end."""
    return "winner" if _search_of(report)["winner"] is not None else "uniform"


def _candidate(report: Mapping[str, Any], name: str) -> float:
    return _search_of(report)[name]["top1"]


def _search_of(report: Mapping[str, Any]) -> Mapping[str, Any]:
    (search,) = report["searches"]
    return search


def _gain(report: Mapping[str, Any]) -> float:
    return _candidate(report, _found(report)) - _candidate(report, "uniform")


def _non_uniform_rows() -> list[Row]:
    rows = []
    targets = ((4, ">= 0.916", ">= 0.917"), (3, ">= 0.914", ">= 0.916"), (2, ">= 0.893", ">= 0.91"))
    for bits, before, after in targets:
        options = ("--learner=non-uniform", f"--nuql_weight_bits={bits}")
        rows.append(
            _row(
                f"non-uniform-w{bits}-untrained",
                untrained,
                (*options, "--nuql_use_buckets"),
                {"top1": before, "seconds": "<= 120"},
                f"weights of {bits} bits, a codebook for each output channel, no training",
            )
        )
        rows.append(
            _row(
                f"non-uniform-w{bits}",
                trained,
                options,
                {"top1": after},
                f"weights of {bits} bits, default flags (a codebook for each layer), 4 epochs",
            )
        )
    for mode in ("clusters", "both"):
        rows.append(
            _row(
                f"non-uniform-w2-{mode}",
                trained,
                ("--learner=non-uniform", "--nuql_weight_bits=2", f"--nuql_opt_mode={mode}"),
                {},
                f"2 bits, training changes {mode}",
            )
        )
    return rows


def _search_rows() -> list[Row]:
    three = ("--uql_enbl_rl_agent", "--uql_equivalent_bits=3")
    return [
        _row(
            "bits-search-untrained",
            bit_search,
            (*UNIFORM, *three, *UNTRAINED),
            {"gain": ">= 0.005", "least_gain": ">= -0.001"},
            "bits by dp against 3 bits for all, no training",
        ),
        _row(
            "bits-search",
            bit_search,
            (*UNIFORM, *three, *TRAINED),
            {"gain": ">= 0.003", "least_gain": ">= -0.001"},
            "the same after 4 epochs for both",
        ),
        _row(
            "bits-search-agents",
            agents_on_bits,
            (*UNIFORM, *three),
            {"behind": "<= 0.001", "share_of_time": "<= 0.02"},
            "first answer of dp against the best of 200 roll-outs of ddpg",
        ),
    ]


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
    # --- non-uniform ---
    *_non_uniform_rows(),
    # --- bits by the search ---
    *_search_rows(),
    # --- files ---
    *packed_rows.ROWS,
)
