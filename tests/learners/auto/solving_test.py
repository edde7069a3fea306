"""One layer cut, thinned and rounded, from moments of random rows."""

import numpy as np
import pytest

from learners.auto.offers import Option
from learners.auto.places import Kept
from learners.auto.solving import Grids, nearest, rounded_graph, solve
from learners.kernels.layers import KernelLayer
from learners.kernels.tables import Moments
from tests.learners.networks import vgg
from utils.graph import from_keras
from utils.weight_facts import bits as bits_of

ROWS, OUTPUTS = 20, 6


def layer(rows, outputs):
    return KernelLayer(
        name="fc", node="fc", layer="fc", weights=("kernel",), shapes=((rows, outputs),),
        out_axes=(-1,),
    )  # fmt: skip


@pytest.fixture
def problem(rng):
    x = rng.normal(size=(400, ROWS)) @ rng.normal(size=(ROWS, ROWS))
    kernel = rng.normal(size=(ROWS, OUTPUTS))
    y = x @ kernel
    moments = Moments(x.T @ x, x.T @ y, np.ones(OUTPUTS), float(np.sum(y**2)))
    rows, columns = np.arange(0, ROWS, 2), np.array([0, 2, 5])
    return moments, kernel, Kept(layer=layer(10, 3), rows=rows, columns=columns)


def test_it_is_zero_outside_thinned_and_on_few_values(problem):
    moments, kernel, kept = problem
    option = Option(bits=3, percent=40, pattern="element")
    solved = solve(moments, kernel, kept, option, Grids("affine"))
    part = solved.kernel[kept.index]
    assert np.count_nonzero(solved.kernel) == np.count_nonzero(part)
    assert np.count_nonzero(part) <= 12  # 40 % of 30; rounding may make zeros of its own
    assert all(np.unique(column).size <= 8 for column in part.T)


def test_n_of_m_counts_the_channels_that_are_left(rng):
    x, kernel = rng.normal(size=(300, 16)), rng.normal(size=(16, 4))
    moments = Moments(x.T @ x, x.T @ x @ kernel, np.ones(4), 1.0)
    kept = Kept(layer=layer(8, 4), rows=np.arange(1, 16, 2), columns=np.arange(4))
    option = Option(bits=4, percent=50, pattern="2:4")
    part = solve(moments, kernel, kept, option, Grids("affine")).kernel[kept.index]
    assert (np.count_nonzero(part.reshape(2, 4, 4), axis=1) <= 2).all()


def test_it_errs_less_than_the_nearest_points(problem):
    moments, kernel, _ = problem
    all_of_it = Kept(layer=layer(ROWS, OUTPUTS), rows=np.arange(ROWS), columns=np.arange(OUTPUTS))
    for bits in (2, 3, 6):
        option, grids = Option(bits=bits), Grids("symmetric")
        ours = moments.error(solve(moments, kernel, all_of_it, option, grids).kernel)
        assert ours < moments.error(nearest(kernel, all_of_it, option, grids).kernel)


def test_channels_that_go_are_made_up_for(problem):
    moments, kernel, kept = problem
    rows = Kept(layer=layer(10, OUTPUTS), rows=kept.rows, columns=np.arange(OUTPUTS))
    solved = solve(moments, kernel, rows, Option(bits=8), Grids("affine")).kernel
    dropped = np.where(np.isin(np.arange(ROWS), kept.rows)[:, None], kernel, 0.0)
    assert moments.error(solved) < moments.error(dropped)


@pytest.mark.parametrize(("kind", "most"), [("affine", 4), ("symmetric", 3)])
def test_two_bits(problem, kind, most):
    _, kernel, kept = problem
    values = nearest(kernel, kept, Option(bits=2), Grids(kind)).kernel[kept.index]
    assert all(np.unique(column).size <= most for column in values.T)


def test_a_whole_network_is_rounded():
    graph = from_keras(vgg())
    from learners.kernels.layers import kernel_layers

    layers = kernel_layers(graph)
    found = rounded_graph(graph, layers, 4, "symmetric")
    assert all((bits_of([la.matrix(found.params)]) or 32) <= 8 for la in layers)
    assert found.params["conv1"]["bias"] is not None
