import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.frontends import layout as axes
from utils.frontends.layout import Atom, Layout


def built_array(array, layout):
    """What the Keras tensor of a layout holds for a source array."""
    order = [axes.flat(layout.source).index(atom) for atom in axes.flat(layout.built)]
    parts = array.reshape([atom.size for atom in axes.flat(layout.source)]).transpose(order)
    return parts.reshape([axes.axis_size(axis) for axis in layout.built])


SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@st.composite
def layouts(draw):
    shape = draw(SHAPES)
    order = draw(st.permutations(range(len(shape))))
    return axes.new_layout(shape, (False,) * len(shape), order)


@given(layouts())
def test_the_order_of_whole_axes_is_found(layout):
    order = axes.axis_order(layout)
    array = np.arange(np.prod(layout.shape)).reshape(layout.shape)
    assert order is not None
    np.testing.assert_array_equal(array.transpose(order), built_array(array, layout))


@settings(max_examples=200)
@given(layouts(), st.data())
def test_reshapes_and_transposes_only_regroup(layout, data):
    """Whatever the source does, the built tensor stays, and still holds the source's array."""
    array = np.arange(np.prod(layout.shape)).reshape(layout.shape)
    before = built_array(array, layout).ravel()
    for _ in range(3):
        if data.draw(st.booleans()):
            order = data.draw(st.permutations(range(array.ndim)))
            array, layout = array.transpose(order), axes.transposed(layout, order)
        else:
            sizes = data.draw(st.permutations([*array.shape, 1]))
            made = axes.reshaped(layout, sizes)
            if made is not None:
                array, layout = array.reshape(sizes), made
        assert layout.shape == array.shape
        np.testing.assert_array_equal(built_array(array, layout).ravel(), before)


@given(layouts(), st.data())
def test_constants_broadcast_as_in_the_source(layout, data):
    keeps = data.draw(st.lists(st.booleans(), min_size=len(layout.shape), max_size=9))
    shape = [size if keep else 1 for size, keep in zip(layout.shape, keeps, strict=False)]
    constant = np.arange(np.prod(shape)).reshape(shape)
    array = np.arange(np.prod(layout.shape)).reshape(layout.shape)
    made = built_array(array, layout) + axes.arranged(constant, layout)
    np.testing.assert_array_equal(made, built_array(array + constant, layout))


def test_a_cut_across_the_steps_of_axes_is_not_a_regrouping():
    assert axes.reshaped(axes.new_layout((3, 4), (False, False), (0, 1)), (2, 6)) is None
    assert axes.reshaped(axes.new_layout((3, 4), (False, False), (0, 1)), (5,)) is None


def test_a_free_batch_of_one_goes_where_it_can_only_be():
    batch = axes.new_layout((1, 6, 5), (True, False, False), (0, 2, 1))
    first = axes.reshaped(batch, (3, 2, 5))  # FastestDet: the batch joins the first axis
    assert [axes.is_free(axis) for axis in first.source] == [True, False, False]
    again = axes.reshaped(first, (1, 6, 5))
    assert [axes.is_free(axis) for axis in again.source] == [True, False, False]
    middle = axes.transposed(batch, (1, 0, 2))
    assert axes.reshaped(middle, (6, 5)) is None  # it could belong to either
    assert axes.reshaped(middle, (6, 1, 5)) is not None


def test_free_axes_are_never_split():
    assert axes.reshaped(axes.new_layout((64, 3), (True, False), (0, 1)), (32, 2, 3)) is None


def test_the_nearest_order_keeps_units_behind_their_neighbors():
    a, b = Atom(2), Atom(3)
    assert axes.natural_order(Layout(((a,), (b,), ()), ((b, a),))) == (1, 2, 0)


def test_longest_pieces():
    a, b, c = Atom(2), Atom(3), Atom(5)
    assert axes.runs((a, b, c), (c, a, b)) == [(c,), (a, b)]


def test_both_ways_between_source_and_built():
    array = np.arange(24).reshape(1, 2, 3, 4)
    order = (0, 2, 3, 1)
    assert axes.to_built(array, order).shape == (1, 3, 4, 2)
    np.testing.assert_array_equal(axes.to_source(axes.to_built(array, order), order), array)
