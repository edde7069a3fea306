"""What the peer reached (`peers/results.json`), for the tables and beside rows of ours.

A row of a topic gives it as its peer:

    from benchmarks.peer_results import best_peer
    return {"top1": …, "peer": best_peer("resnet20", "0.5", epochs=3, distilled=True)}
"""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.peers.plan import RESULTS, load_results

_SAME = ("network", "budget", "epochs", "optimizer", "rate", "distilled", "scope", "importance")


def means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Average the rows that differ in the seed alone; those of held-out images are left out.

    Args:
        rows: of `peers/results.json`.

    Returns:
        For each kind, in the order of `_SAME`: its names, `seeds` (sorted), mean `before`,
        `first` (after the first epoch), `top1` (after the last), its `lowest` and `highest`,
        `flops_kept`, `params`, mean `seconds`, `device`.
    """
    kinds: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if not row["held_out"]:
            kinds.setdefault(tuple(row[name] for name in _SAME), []).append(row)
    return [_mean(dict(zip(_SAME, kind, strict=True)), kinds[kind]) for kind in sorted(kinds)]


def _mean(kind: dict[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    last = [row["after"][-1] for row in rows]
    return kind | {
        "seeds": sorted(row["seed"] for row in rows),
        "before": statistics.mean(row["before"] for row in rows),
        "first": statistics.mean(row["after"][0] for row in rows),
        "top1": statistics.mean(last),
        "lowest": min(last),
        "highest": max(last),
        "flops_kept": statistics.mean(row["flops_kept"] for row in rows),
        "params": round(statistics.mean(row["params"] for row in rows)),
        "seconds": statistics.mean(row["seconds"] for row in rows),
        "device": rows[-1]["device"],
    }


def best_peer(
    network: str,
    budget: str,
    *,
    epochs: int,
    distilled: bool | None = None,
    path: pathlib.Path = RESULTS,
) -> dict[str, Any]:
    """Give the peer's best mean at a budget, whatever its importance, scope and rate.

    Args:
        network: `resnet20` or `resnet56`.
        budget: `0.5`, `0.6` or `0.73`.
        epochs: of fine-tuning.
        distilled: with the dense network as teacher, without, or None for the better of both.
        path: the results.

    Returns:
        `top1`, `before`, `flops_kept`, and `what` it is in words; empty where nothing was measured.
    """
    wanted = {"network": network, "budget": budget, "epochs": epochs}
    wanted |= {} if distilled is None else {"distilled": distilled}
    fits = [mean for mean in means(load_results(path)) if wanted.items() <= mean.items()]
    if not fits:
        return {}
    best = max(fits, key=lambda mean: mean["top1"])
    figures = {name: best[name] for name in ("top1", "before", "flops_kept")}
    return {**figures, "what": f"Torch-Pruning, {_words(best)}"}


def _words(mean: Mapping[str, Any]) -> str:
    taught = "distilled" if mean["distilled"] else "plain"
    return (
        f"{mean['importance']} {mean['scope']}, {taught}, {mean['optimizer']} at {mean['rate']:g}"
    )


def render_peers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Make the table of the peer for `results.md`.

    Args:
        rows: of `peers/results.json`.

    Returns:
        Lines of Markdown; none without rows.
    """
    found = means(rows)
    if not found:
        return []
    lines = [
        "",
        "## Peer: Torch-Pruning",
        "",
        "Measured by `make bench-peers`, accuracies in percent on the 10,000 test images, mean of "
        "the seeds. Same weights, layers, FLOPs, images, epochs and rates as Flowpress' uniform "
        "rows.",
        "",
        "| network | FLOPs kept | what | epochs | before | after 1 epoch | last epoch "
        "| lowest to highest | seeds | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for mean in found:
        low, first, top1, lowest, highest = (
            f"{100 * mean[name]:.2f}" for name in ("before", "first", "top1", "lowest", "highest")
        )
        lines.append(
            f"| {mean['network']} | {mean['flops_kept']:.4f} | {_words(mean)} | {mean['epochs']} "
            f"| {low} | {first} | {top1} | {lowest} to {highest} "
            f"| {', '.join(map(str, mean['seeds']))} | {mean['seconds']:.0f} |"
        )
    devices = sorted({mean["device"] for mean in found})
    return [*lines, "", f"Seconds of fine-tuning on: {'; '.join(devices)}."]
