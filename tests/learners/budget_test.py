import pytest

from learners.budget import KINDS, Limit, describe, keep_count, parse_budget
from learners.quantity import QUANTITIES
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
        ("nonzeros:50k", (Limit("nonzeros", amount=5e4),)),
        ("bits:0.125", (Limit("bits", share=0.125),)),
        ("bits:3", (Limit("bits", share=3 / 32),)),
        ("bits:1", (Limit("bits", share=1.0),)),
        ("bits:2.5", (Limit("bits", share=2.5 / 32),)),
        ("bits:1.2M", (Limit("bits", amount=1.2e6),)),
        ("flops:0.5, params:0.4", (Limit("flops", share=0.5), Limit("params", share=0.4))),
    ],
)
def test_texts_are_read(text, limits):
    assert parse_budget(text).limits == limits


@pytest.mark.parametrize(
    "text",
    ["", "flops", "flops:", "flops:0", "flops:1.5", "flops:-1", "flops:nan", "speed:0.5", "0.5",
     "latency:2.5s", "latency:infms", "bits:33", "flops:0.5,,", "bytes:0.3ms"],
)  # fmt: skip
def test_other_texts_are_refused(text):
    with pytest.raises(InputError, match=r"`budget` must be KIND:SHARE .* Received"):
        parse_budget(text)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_kinds_of_another_quantity_are_refused_with_those_of_this_one(quantity):
    own = QUANTITIES[quantity].kinds
    for kind in KINDS:
        if kind in own:
            assert parse_budget(f"{kind}:0.5", own).kinds == (kind,)
        else:
            listed = ", ".join(rf"{each} \(or an amount in .*\)" for each in own)
            message = rf"e\.g\. {own[0]}:0\.5 or .* Kinds: {listed}\. Received: '{kind}:0.5'"
            with pytest.raises(InputError, match=message):
                parse_budget(f"{kind}:0.5", own)


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


def test_what_else_can_be_done_is_said_by_who_knows():
    budget = parse_budget("bits:0.01")
    with pytest.raises(InputError, match=r"Choose a target in that range\.$"):
        budget.check_reachable({"bits": 3200.0}, {"bits": 200.0})
    with pytest.raises(InputError, match=r"in that range, or quantize more layers\.$"):
        budget.check_reachable({"bits": 3200.0}, {"bits": 200.0}, hint="quantize more layers")


def test_an_amount_above_the_whole_network_is_refused():
    budget = parse_budget("latency:9ms")
    with pytest.raises(InputError, match=r"and 1.000 \(2 ms\)"):
        budget.check_reachable({"latency": 2.0}, {"latency": 1.0})


def test_one_of_several_limits_may_be_slack():
    whole, least = {"flops": 100.0, "latency": 2.0}, {"flops": 10.0, "latency": 1.0}
    parse_budget("flops:0.5,latency:9ms").check_reachable(whole, least)
    with pytest.raises(InputError, match="latency"):
        parse_budget("latency:9ms").check_reachable(whole, least)


def test_within_the_tolerance_of_the_range_is_met():
    parse_budget("flops:0.295").check_reachable({"flops": 100.0}, {"flops": 30.0})
    with pytest.raises(InputError, match="flops"):
        parse_budget("flops:0.25").check_reachable({"flops": 100.0}, {"flops": 30.0})


def test_amounts_for_people():
    assert describe("flops", 500.0) == "500"
    assert describe("latency", 12.3456) == "12.3 ms"
    assert describe("latency", 0.02) == "0.02 ms"
    assert describe("bytes", 512.0) == "512 B"
    assert describe("bits", 1.25e6) == "1.25 M"


def test_counts_round_to_multiples_where_the_group_is_large_enough():
    assert keep_count(64, 0.5, 16) == 32
    assert keep_count(64, 0.999, 16) == 16
    assert keep_count(16, 0.5, 16) == 8
    assert keep_count(3, 0.99, 1) == 1
