"""How many channels Flowpress' uniform networks keep: what the peer is given.

`python -m benchmarks.peer_counts` writes `peers/counts.json` anew, which a test compares.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from benchmarks.peers.plan import BUDGETS, COUNTS, DENSE_TOP1


def counts(network: str) -> dict[str, Any]:
    """Count a dense network and, for each budget, the one that has one ratio inside its blocks.

    Args:
        network: a key of `DENSE_TOP1`.

    Returns:
        See `benchmarks.peers.plan.load_counts`.
    """
    from learners.budget import parse_budget
    from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
    from learners.channels.groups import budget_counts, prunable_groups
    from nets.resnet_at_cifar10 import ModelHelper
    from utils.graph import complexity, from_keras, shrink

    config = ChannelPrunedRmtConfig()
    size = int(network.removeprefix("resnet"))
    graph = from_keras(ModelHelper(ModelHelper.config_class(resnet_size=size)).build_model())
    groups = prunable_groups(graph, config)
    found: dict[str, Any] = {"dense": _cost(complexity(graph))}
    for budget in BUDGETS:
        kept = budget_counts(graph, groups, config, parse_budget(f"flops:{budget}"))
        masks = {group.name: np.arange(group.size) < kept[group.name] for group in groups}
        found[budget] = {
            **_cost(complexity(shrink(graph, masks))),
            "keep": {_block(group.producers[0]): kept[group.name] for group in groups},
        }
    return found


def _cost(complexity: Any) -> dict[str, int]:
    return {"flops": int(complexity.flops), "params": int(complexity.params)}


def _block(producer: str) -> str:
    """Name the block, in PyTorch's words, of a producer of inner channels.

    Example:
        >>> _block("stage2_block0_conv1")
        'layer2.0'
    """
    stage, block, _ = producer.split("_")
    return f"{stage.replace('stage', 'layer')}.{block.removeprefix('block')}"


def main() -> int:
    """Write the file."""
    document = {network: counts(network) for network in DENSE_TOP1}
    COUNTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
