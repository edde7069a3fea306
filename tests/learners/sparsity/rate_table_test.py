"""The table of sparse rates: in order, and honest about what was not measured."""

from learners.sparsity.rate_table import rate_table
from utils.report.schema import Network


def network(sparsity, top1, **facts):
    return Network(
        params=200, nonzeros=round(200 * (1 - sparsity)), sparsity=sparsity, top1=top1, **facts
    )


def test_rows_go_from_the_least_sparse_to_the_most():
    networks = [network(rate, 0.9, flops=10) for rate in (0.75, 0.0, 0.9375)]
    rates = [row.split(" | ")[1] for row in rate_table("net", networks).splitlines()[2:]]
    assert rates == ["0 %", "75 %", "93.75 %"]


def test_what_is_not_known_has_a_dash():
    row = rate_table("net", [network(0.5, None, flops=None)]).splitlines()[-1]
    assert row == "| net | 50 % | – | 100 | – / – |"
