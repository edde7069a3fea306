import pytest

from learners.filter_pruning.course import Choice, group_ratios, recipe_cuts, training_parts
from learners.filter_pruning.recipe import Pruner, Recipe, Step
from tests.learners import networks
from utils.errors import InputError
from utils.graph import from_keras


@pytest.fixture(scope="module")
def graph():
    return from_keras(networks.vgg())  # conv1 8, conv2 8, conv3 12, fc1 16


def everything(ratio, name="all"):
    return Pruner(name=name, criterion="l1_norm", ratio=ratio)


def named(name="some", **layers):
    return Pruner(name=name, criterion="l2_norm", ratio=None, layers=layers)


def recipe(*steps):
    return Recipe(steps=tuple(Step(epoch, tuple(pruners)) for epoch, *pruners in steps), source="s")


def counts(graph, wanted, **choice):
    cuts = recipe_cuts(graph, wanted, Choice(**choice))
    return [{name: n for each in step for name, n in each.counts.items()} for step in cuts]


def test_ratios_are_of_the_original_width(graph):
    """Four times a tenth leaves 0.6, not 0.9^4 = 0.66."""
    steps = recipe(*((epoch, everything(0.1)) for epoch in range(4)))
    found = counts(graph, steps)
    assert [step["fc1"] for step in found] == [14, 13, 11, 10]
    assert [step["conv1"] for step in found] == [7, 6, 6, 5]


def test_pruners_of_one_step_keep_their_criteria(graph):
    steps = recipe((0, named(conv1=0.5)), (1, named(conv1=0.25), named("other", fc1=0.5)))
    (first,), (second, third) = recipe_cuts(graph, steps, Choice())
    assert (first.criterion, first.counts) == ("l2_norm", {"conv1": 4})
    assert (second.counts, third.counts) == ({"conv1": 2}, {"fc1": 8})


def test_a_budget_gives_the_end_and_the_steps_share_the_way(graph):
    steps = recipe(
        (0, everything(None)),
        (
            1,
            everything(None),
        ),
        (2, everything(None)),
    )
    seen = []

    def final(groups):
        seen.extend(group.name for group in groups)
        return {"conv1": 2, "conv2": 8, "conv3": 6, "fc1": 1}

    cuts = recipe_cuts(graph, steps, Choice(), final)
    assert seen == ["conv1", "conv2", "conv3", "fc1"]
    assert [dict(each.counts) for (each,) in cuts] == [
        {"conv1": 6, "conv2": 8, "conv3": 10, "fc1": 11},
        {"conv1": 4, "conv2": 8, "conv3": 8, "fc1": 6},
        {"conv1": 2, "conv2": 8, "conv3": 6, "fc1": 1},
    ]


def test_choices(graph):
    assert counts(graph, recipe((0, everything(0.5))), skipped=["conv"]) == [{"fc1": 8}]
    assert counts(graph, recipe((0, everything(0.3))), round_to=4)[0]["conv3"] == 8
    residual = from_keras(networks.residual())
    assert group_ratios(residual, everything(0.5), Choice(residual="joint"), "s").keys() == {
        "stem", "a1", "b1", "b2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [(0, everything(0.3), named(conv1=0.2))],
            r"^s: at epoch 0 both `pruners\.all` and `pruners\.some` prune 'conv1'\. Let one",
        ),
        (
            [(0, named(conv1=0.6)), (1, everything(0.5))],
            r"^s: 'conv1' would lose all filters: .* add up to 1\.1\. Let them stay below 1\.",
        ),
        ([(0, named(conv9=0.5))], r"^s: no layer with filters is named 'conv9'\. Did you mean"),
    ],
)
def test_what_cannot_be(graph, steps, message):
    with pytest.raises(InputError, match=message):
        recipe_cuts(graph, recipe(*steps), Choice())


def test_coupled_layers_named_apart_are_pruned_twice():
    graph = from_keras(networks.residual())
    with pytest.raises(InputError, match=r"both `pruners\.some` and `pruners\.other` prune 'b2'"):
        recipe_cuts(graph, recipe((0, named(b2=0.3), named("other", short=0.3))), Choice())


def test_parts_of_the_training():
    first, last = (0, everything(0.1)), (2, everything(0.1))
    parts = training_parts(recipe(first, last), num_steps=50, steps_per_epoch=10)
    assert parts == [(0, 20), (20, 30)]
    assert training_parts(recipe(last), num_steps=50, steps_per_epoch=10) == [(0, 20), (20, 30)]
    assert training_parts(recipe(first), num_steps=0, steps_per_epoch=10) == [(0, 0)]
    message = (
        r"^s: filters would go after epoch 2, and training lasts 2 epochs\. Give a larger --nb"
    )
    with pytest.raises(InputError, match=message):
        training_parts(recipe(first, last), num_steps=20, steps_per_epoch=10)
