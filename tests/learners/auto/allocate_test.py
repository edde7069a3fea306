"""Choices for a number of bytes, against trying everything on hand-made tables."""

import itertools

import numpy as np
import pytest

from learners.auto.allocate import BITS, CHANNELS, ZEROS, Allocation, Scales
from learners.auto.joint import Joint
from learners.auto.offers import Option
from learners.auto.tables import GroupTable, LayerTable, Tables
from learners.channels.budget import channel_layers
from learners.channels.cost import NetworkCost
from learners.search.choices import Load

OPTIONS = (
    Option(bits=8),
    Option(bits=3),
    Option(bits=8, percent=50, pattern="element"),
    Option(bits=3, percent=50, pattern="element"),
)


@pytest.fixture
def made(places, rng):
    groups = {
        group.name: GroupTable(
            order=np.arange(group.size),
            errors=np.append(0.0, np.cumsum(np.sort(rng.random(group.size)) ** 3)),
        )
        for group in places.groups
    }
    layers = {
        layer.name: LayerTable(
            options=OPTIONS,
            zeros=np.array([0.0, 0.0, 0.1, 0.1]) * rng.uniform(0.5, 2),
            rounding=np.array([0.0, 0.2, 0.0, 0.3]) * rng.uniform(0.5, 2),
            bytes=layer.size * np.array([1.0, 0.4, 0.6, 0.3]),
        )
        for layer in places.layers
    }
    return Tables(groups=groups, layers=layers, importance={})


@pytest.fixture
def allocation(places, made):
    return allocation_of(places, made)


def allocation_of(places, made, load=None):
    widths = channel_layers(places.graph, places.groups, [(4, 6, 8)] * len(places.groups))
    counted = NetworkCost(places.graph, places.groups)
    return Allocation(places, made, widths, counted, load)


def everything(places):
    names = [group.name for group in places.groups]
    for widths in itertools.product((4, 6, 8), repeat=len(names)):
        for options in itertools.product(OPTIONS, repeat=len(places.layers)):
            yield Joint(
                widths=dict(zip(names, widths, strict=True)),
                options={la.name: o for la, o in zip(places.layers, options, strict=True)},
            )


def test_answers_lie_on_the_hull_of_all_choices(allocation, places):
    points = np.array([(a.bytes, a.error) for a in map(allocation.answer, everything(places))])
    most, least = points[:, 0].max(), points[:, 0].min()
    for size in np.linspace(1.1 * least, most, 6):
        found = allocation.within(size)
        assert found.bytes <= size * (1 + 1e-9)
        # No choice of fewer bytes errs less.
        better = points[(points[:, 0] <= found.bytes * (1 + 1e-9))]
        assert found.error <= better[:, 1].min() + 1e-9


def test_single_ways_use_nothing_else(allocation, places):
    size = 0.6 * allocation.within(np.inf, ways=()).bytes
    channels = allocation.within(size, ways=[CHANNELS])
    assert {option for option in channels.joint.options.values()} == {Option(bits=8)}
    zeros = allocation.within(size, ways=[ZEROS])
    assert {option.bits for option in zeros.joint.options.values()} == {8}
    assert set(zeros.joint.widths.values()) == {8}
    bits = allocation.within(size, ways=[BITS])
    assert {option.percent for option in bits.joint.options.values()} == {100}
    assert set(bits.joint.widths.values()) == {8}
    together = allocation.within(size)
    assert together.error <= min(each.error for each in (channels, zeros, bits)) * 1.25


def test_what_cannot_be_met_is_the_smallest(allocation, places):
    smallest = allocation.within(0.0)
    assert set(smallest.joint.widths.values()) == {4}
    assert smallest.bytes == pytest.approx(
        min(allocation.answer(joint).bytes for joint in everything(places))
    )


def test_a_way_that_errs_more_is_used_less(allocation):
    size = 0.6 * allocation.within(np.inf, ways=()).bytes
    allocation.scales = Scales(channels=1e6)
    assert set(allocation.within(size).joint.widths.values()) == {8}
    allocation.scales = Scales(bits=1e6, zeros=1e6)
    assert allocation.within(size).joint.options["two"] == Option(bits=8)


def test_other_budgets_are_kept(places, made):
    counted = NetworkCost(places.graph, places.groups)
    full = np.full(len(places.groups), 8)
    limit = 0.6 * float(counted(full[None])["flops"][0])
    load = Load(counted, {"flops": limit})
    found = allocation_of(places, made, load).within(np.inf)
    values = np.array([found.joint.widths[group.name] for group in places.groups])
    assert float(counted(values[None])["flops"][0]) <= limit
