"""The last layer's own targets: which layer that is, and what is fitted."""

import keras
import numpy as np
import pytest
import scipy.special

from learners.reconstruction import classes
from learners.reconstruction.classes import LinearScores, fit_scores, scoring_node
from utils.graph import from_keras

L = keras.layers


def divergence(rows, scores, fitted):
    """The mean KL, written with SciPy's own function of it."""
    wanted, found = (
        scipy.special.softmax(each / classes.TEMPERATURE, axis=1)
        for each in (scores, fitted.of(rows))
    )
    return scipy.special.rel_entr(wanted, found).sum(axis=1).mean()


def problem(num_rows, seed=0, num_inputs=12, num_classes=5):
    """Features of which a part was lost, and scores that the whole of them gave."""
    rng = np.random.default_rng(seed)
    whole = np.maximum(rng.normal(size=(num_rows, num_inputs)), 0.0)
    kernel = 10.0 * rng.normal(size=(num_inputs, num_classes))
    rows = whole @ np.diag(rng.random(num_inputs) > 0.3) + 0.1
    start = np.linalg.lstsq(np.c_[rows, np.ones(num_rows)], whole @ kernel, rcond=None)[0]
    return rows, whole @ kernel, LinearScores(start[:-1], start[-1])


def network(*layers, outputs=lambda x: x):
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for layer in layers:
        x = layer(x)
    return from_keras(keras.Model(inputs, outputs(x)))


@pytest.mark.parametrize(
    ("layers", "with_softmax_alone", "with_classes"),
    [
        ((L.Flatten(), L.Dense(4, name="it")), None, "it"),
        ((L.Flatten(), L.Dense(4, activation="softmax", name="it")), "it", "it"),
        ((L.Flatten(), L.Dense(4, name="it"), L.Softmax()), "it", "it"),
        ((L.Flatten(), L.Dense(4, name="it"), L.Activation("softmax")), "it", "it"),
        ((L.Conv2D(4, 1, name="it"), L.Softmax()), "it", "it"),
        ((L.Conv2D(4, 1), L.Softmax(axis=1)), None, None),
        ((L.Flatten(), L.Dense(4, activation="relu"), L.Softmax()), None, None),
        ((L.Flatten(), L.Dense(1)), None, None),
        ((L.Flatten(), L.Dense(4, activation="sigmoid")), None, None),
        ((L.Flatten(), L.Dense(4), L.BatchNormalization()), None, None),
        ((L.Conv2D(4, 1), L.GlobalAveragePooling2D()), None, None),
    ],
    ids=[
        *("dense", "softmax inside", "softmax behind", "activation behind", "map", "other axis"),
        *("relu between", "one score", "sigmoid", "norm behind", "pooled behind"),
    ],
)
def test_which_layer_gives_the_scores(layers, with_softmax_alone, with_classes):
    graph = network(*layers)
    assert scoring_node(graph, has_classes=False) == with_softmax_alone
    assert scoring_node(graph, has_classes=True) == with_classes


def test_scores_that_others_read_or_several_outputs_are_left_alone():
    def also_read(x):
        return L.Softmax()(x + L.Softmax()(x))

    assert scoring_node(network(L.Flatten(), L.Dense(4), outputs=also_read), has_classes=True) is (
        None
    )
    two = network(L.Flatten(), L.Dense(4), outputs=lambda x: [x, L.Softmax()(x)])
    assert scoring_node(two, has_classes=True) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_distributions_come_nearer_than_by_least_squares(seed):
    rows, scores, start = problem(2000, seed)
    found = fit_scores(rows[:1500], scores[:1500], start, centred=True)
    new = slice(1500, None)  # nor are they what the pull was chosen on
    before, after = (divergence(rows[new], scores[new], each) for each in (start, found))
    assert after < 0.97 * before


def test_it_is_a_minimum():
    rows, scores, start = problem(400)
    wanted = scipy.special.softmax(scores / classes.TEMPERATURE, axis=1)
    objective = classes._Objective(rows, wanted, start, 0.01, centred=True)
    found = objective.minimum(start)
    at = np.concatenate([found.kernel.ravel(), found.offset])
    value, slope = objective._value_and_slope(at)
    assert np.abs(slope).max() < 1e-2
    rng = np.random.default_rng(1)
    for _ in range(5):
        step = 1e-3 * rng.normal(size=at.size)
        away, _ = objective._value_and_slope(at + step)
        assert away > value - 1e-6
    # The slope against differences of the value, away from the minimum.
    step = 1e-6 * rng.normal(size=at.size)
    begin = np.concatenate([start.kernel.ravel(), start.offset])
    ends = [objective._value_and_slope(begin + sign * step)[0] for sign in (1, -1)]
    assert np.isclose((ends[0] - ends[1]) / 2, objective._value_and_slope(begin)[1] @ step)


def test_zeros_stay_and_without_an_offset_none_is_fitted():
    rows, scores, start = problem(600)
    sparse = LinearScores(np.where(start.kernel > 0.5, 0.0, start.kernel), np.zeros(5))
    found = fit_scores(rows, scores, sparse, centred=False)
    assert np.array_equal(found.kernel == 0.0, sparse.kernel == 0.0)
    assert not found.offset.any()
    assert not np.array_equal(found.kernel, sparse.kernel)


def test_too_few_rows_and_what_is_right_already_stay():
    rows, scores, start = problem(classes.FEWEST_ROWS - 1)
    assert fit_scores(rows, scores, start, centred=True) is start
    rows, scores, start = problem(500)
    right = LinearScores(start.kernel, start.offset)
    found = fit_scores(rows, right.of(rows), right, centred=True)
    assert np.allclose(found.kernel, right.kernel, atol=1e-3)
