import pytest

from learners.budget import Limit, describe, keep_count, parse_budget
from utils.errors import InputError


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("flops:0.5", (Limit("flops", share=0.5),)),
        ("flops:20M", (Limit("flops", amount=20e6),)),
        ("params:100k", (Limit("params", amount=1e5),)),
        ("bytes:300kB", (Limit("bytes", amount=3e5),)),
        ("bytes:512B", (Limit("bytes", amount=512.0),)),
        ("latency:2.5ms", (Limit("latency", amount=2.5),)),
        ("latency:1", (Limit("latency", share=1.0),)),
        ("flops:0.5, params:0.4", (Limit("flops", share=0.5), Limit("params", share=0.4))),
    ],
)
def test_texts_are_read(text, limits):
    assert parse_budget(text).limits == limits


@pytest.mark.parametrize(
    "text",
    ["", "flops", "flops:", "flops:0", "flops:1.5", "flops:-1", "flops:nan", "speed:0.5", "0.5",
     "latency:2.5s", "latency:infms", "flops:0.5,,", "bytes:0.3ms"],
)  # fmt: skip
def test_other_texts_are_refused(text):
    with pytest.raises(InputError, match=r"`budget` must be KIND:SHARE .* Received"):
        parse_budget(text)


def test_a_kind_given_twice_is_refused():
    with pytest.raises(InputError, match=r"each kind once. Received: 'flops:0.5,flops:0.4'"):
        parse_budget("flops:0.5,flops:0.4")


def test_targets_are_shares_of_the_whole_network_or_amounts():
    budget = parse_budget("flops:0.25,latency:2ms")
    assert budget.kinds == ("flops", "latency")
    assert budget.targets({"flops": 100.0, "latency": 3.0}) == {"flops": 25.0, "latency": 2.0}


def test_a_budget_below_the_smallest_network_says_the_range():
    budget = parse_budget("flops:0.1")
    with pytest.raises(InputError, match=r"flops:0.1 cannot be met: .* flops between 0.300 \(30\)"):
        budget.check_reachable({"flops": 100.0}, {"flops": 30.0})


def test_an_amount_above_the_whole_network_is_refused():
    budget = parse_budget("latency:9ms")
    with pytest.raises(InputError, match=r"and 1.000 \(2 ms\)"):
        budget.check_reachable({"latency": 2.0}, {"latency": 1.0})


def test_one_of_several_limits_may_be_slack():
    budget = parse_budget("flops:0.5,latency:9ms")
    budget.check_reachable({"flops": 100.0, "latency": 2.0}, {"flops": 10.0, "latency": 1.0})


def test_within_the_tolerance_of_the_range_is_met():
    parse_budget("flops:0.295").check_reachable({"flops": 100.0}, {"flops": 30.0})


def test_amounts_for_people():
    assert describe("flops", 500.0) == "500"
    assert describe("latency", 12.3456) == "12.3 ms"


def test_counts_round_to_multiples_where_the_group_is_large_enough():
    assert keep_count(64, 0.5, 16) == 32
    assert keep_count(64, 0.999, 16) == 16
    assert keep_count(16, 0.5, 16) == 8
    assert keep_count(3, 0.99, 1) == 1
