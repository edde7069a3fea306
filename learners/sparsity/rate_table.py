"""The result of sparse training as a table: sparse rate, accuracy."""

from collections.abc import Sequence

from utils.report.schema import Network


def rate_table(model: str, networks: Sequence[Network]) -> str:
    """Write what networks of different sparse rates reach.

    Args:
        model: its name, for the first column.
        networks: facts of the networks (`Report.before`, `Report.after`), in any order.

    Returns:
        A Markdown table, the least sparse network first. The sparse rate is the share of exact
        zeros among all weights, biases and batch norms included.

    Example:
        >>> dense = Network(params=1000, nonzeros=1000, sparsity=0.0, flops=9000, top1=0.991)
        >>> sparse = Network(params=1000, nonzeros=80, sparsity=0.92, flops=9000, top1=0.985,
        ...                  sparse_flops=900)
        >>> print(rate_table("lenet5", [sparse, dense]))
        | model | sparse rate | top-1 | non-zero weights | FLOPs, those with a non-zero weight |
        |---|---|---|---|---|
        | lenet5 | 0 % | 99.10 % | 1,000 | 9,000 / – |
        | lenet5 | 92 % | 98.50 % | 80 | 9,000 / 900 |
    """
    rows = [
        "| model | sparse rate | top-1 | non-zero weights | FLOPs, those with a non-zero weight |",
        "|---|---|---|---|---|",
    ]
    for network in sorted(networks, key=lambda network: network.sparsity):
        top1 = "–" if network.top1 is None else f"{100 * network.top1:.2f} %"
        work = (network.flops, network.sparse_flops)
        flops = " / ".join("–" if each is None else f"{each:,}" for each in work)
        rate = f"{100 * network.sparsity:.4g} %"
        rows.append(f"| {model} | {rate} | {top1} | {network.nonzeros:,} | {flops} |")
    return "\n".join(rows)
