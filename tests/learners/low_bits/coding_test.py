"""Which weights share a code: numbers of groups against a loop over the weights."""

from collections.abc import Callable

import numpy as np
import pytest

from learners.kernels.layers import KernelLayer
from learners.low_bits.coding import Places
from utils.quantization.groups import Grouping


def layer(*shapes: tuple[int, ...], out_axes: tuple[int, ...] = (-1,)) -> KernelLayer:
    return KernelLayer(
        name="layer",
        node="layer",
        layer="layer",
        weights=tuple(f"kernel_{number}" for number in range(len(shapes))),
        shapes=shapes,
        out_axes=out_axes,
    )


def channel(axes: tuple[int, ...]) -> Grouping:
    return Grouping("channel", axes=axes)


def test_a_channel_of_either_kernel_is_a_group() -> None:
    places = Places.of(layer((3, 4), (3, 4)), channel)
    np.testing.assert_array_equal(places.ids, np.tile(np.arange(8), (3, 1)))
    assert (places.num_groups, places.starts, places.is_by_output) == (8, (0, 4, 8), True)


def test_a_transposed_kernel_is_numbered_by_its_outputs() -> None:
    """Its outputs are the axis before the last."""
    places = Places.of(layer((2, 2, 5, 3), out_axes=(-2,)), channel)
    assert places.ids.shape == (12, 5)
    np.testing.assert_array_equal(places.ids, np.tile(np.arange(5), (12, 1)))


@pytest.mark.parametrize("size", [4, 7])
def test_buckets_follow_the_weights_as_they_lie(size: int) -> None:
    here = layer((2, 3, 4), out_axes=(-1,))
    places = Places.of(here, lambda axes: Grouping("split", size=size))
    in_order = np.arange(24).reshape(2, 3, 4) // size
    np.testing.assert_array_equal(places.ids, in_order.reshape(6, 4))
    assert not places.is_by_output


@pytest.mark.parametrize(
    "grouping", [channel, lambda axes: Grouping("tensor"), lambda axes: Grouping("split", size=5)]
)
def test_groups_at_some_places(grouping: Callable[[tuple[int, ...]], Grouping]) -> None:
    places = Places.of(layer((6, 4)), grouping)
    rows, outputs = np.array([[5, 0, 3], [1, 1, 2]]), np.array([[2], [0]])
    found = np.broadcast_to(places.at(rows, outputs), rows.shape)
    np.testing.assert_array_equal(found, places.ids[rows, outputs])


def test_parts_say_where_the_groups_of_each_weight_are() -> None:
    places = Places.of(layer((6, 2), (6, 2)), lambda axes: Grouping("tensor"))
    found = [(weight, where) for weight, _, _, where in places.parts()]
    assert found == [(("layer", "kernel_0"), slice(0, 1)), (("layer", "kernel_1"), slice(1, 2))]
    np.testing.assert_array_equal(places.ids, np.repeat([[0, 0, 1, 1]], 6, axis=0))
