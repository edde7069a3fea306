import dataclasses

import numpy as np
import pytest

from learners.filters.choice import (
    all_groups,
    best,
    count_left,
    filter_groups,
    makers,
    named_ratios,
)
from tests.learners import networks
from utils.errors import InputError
from utils.graph import from_keras


@pytest.fixture(scope="module")
def residual():
    return from_keras(networks.residual())


def names(groups):
    return [group.name for group in groups]


def test_inner_leaves_streams_whole(residual):
    assert names(filter_groups(residual)) == ["a1", "b1"]
    joint = filter_groups(residual, residual="joint")
    assert names(joint) == ["stem", "a1", "b1", "b2"]
    assert makers(residual, joint[3]) == ["b2", "short"]


def test_layers_are_left_alone_by_parts_of_their_names(residual):
    assert names(filter_groups(residual, residual="joint", skipped=["short", "stem"])) == [
        "a1",
        "b1",
    ]
    message = r"`fp_skip_op_names`: no layer that has filters has 'shrot' in its name\. Did you mea"
    with pytest.raises(InputError, match=message):
        filter_groups(residual, skipped=["shrot"], prefix="fp_")


def test_a_network_without_a_choice_is_refused(residual):
    message = r"residual: no filters can be pruned: stem \(a residual stream\); a1 \(left alone by"
    with pytest.raises(InputError, match=message):
        filter_groups(residual, skipped=["1"])


def test_named_layers(residual):
    assert named_ratios(residual, {"b1": 0.5, "a1": None}, "x") == {"b1": 0.5, "a1": None}
    assert named_ratios(residual, {"short": 0.25}, "x") == {"b2": 0.25}  # with b2, coupled
    assert named_ratios(residual, {"short": 0.25, "b2": 0.25}, "x") == {"b2": 0.25}


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ({"shrot": 0.5}, r"^x: no layer with filters is named 'shrot'\. Did you mean 'short'\?"),
        ({"head": 0.5}, r"^x: the filters of 'head' cannot be pruned: .*output"),
        (
            {"b2": 0.5, "short": 0.25},
            r"^x: 'b2' and 'short' are coupled.* ratios 0.5 and 0.25\. Give both the same\.",
        ),
    ],
)
def test_names_that_cannot_be(residual, ratios, message):
    with pytest.raises(InputError, match=message):
        named_ratios(residual, ratios, "x")


def test_counts():
    assert count_left(10, 0.3) == 7
    assert count_left(64, 0.45, 8) == 32
    assert count_left(4, 0.95) == 1


def test_the_best_stay_and_no_block_is_empty(residual):
    group = dataclasses.replace(filter_groups(residual)[0], blocks=(np.array([0, 1]),))
    scores = np.array([0.0, 0.1, 5, 4, 3, 2, 1, 0.5])
    np.testing.assert_array_equal(np.flatnonzero(best(scores, 2, group)), [1, 2])
    np.testing.assert_array_equal(np.flatnonzero(best(scores, 8, group)), np.arange(8))


def test_scores_that_are_not_finite_are_refused(residual):
    group = filter_groups(residual)[0]
    with pytest.raises(InputError, match=r"the scores of 'a1' are not finite"):
        best(np.full(8, np.nan), 2, group)


def test_branches_of_a_concatenation_choose_apart():
    graph = from_keras(networks.concat())
    assert set(names(all_groups(graph))) == {"stem", "left", "right", "join", "head"}
