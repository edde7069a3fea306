"""What parts cost: in order, zero for nothing, near what the network really errs."""

import numpy as np
import pytest

from learners.auto.offers import Option


def test_more_gone_never_errs_less(tables, places):
    assert set(tables.groups) == {group.name for group in places.groups}
    for table in tables.groups.values():
        assert table.errors[0] == 0.0
        assert (np.diff(table.errors) >= 0).all()
        assert sorted(table.order.tolist()) == list(range(table.order.size))
        assert table.mask(3).sum() == 3
        assert table.error(table.order.size) == 0.0


def test_fewer_bits_and_weights_err_more_and_take_less(tables, places):
    for layer in places.layers:
        table = tables.layers[layer.name]
        dense = {
            option.bits: place
            for place, option in enumerate(table.options)
            if option.pattern == "dense"
        }
        order = [dense[bits] for bits in sorted(dense, reverse=True)]
        assert (np.diff(table.rounding[order]) >= 0).all()
        assert (np.diff(table.bytes[order]) < 0).all()
        assert not table.zeros[order].any()
        halves = [Option(bits=8, percent=p, pattern="element") for p in (75, 50, 30)]
        places_of = [table.options.index(option) for option in halves]
        assert (np.diff(table.zeros[places_of]) >= 0).all()
        assert (table.zeros[places_of] >= 0).all()


def test_what_cannot_be_made_up_for_costs_most(tables):
    """Eight bits are near nothing, two are not, and all channels but one gone are most."""
    for table in tables.layers.values():
        errors = dict(zip(table.options, table.rounding, strict=True))
        assert errors[Option(bits=8)] < 0.05 * errors[Option(bits=2)]
    for table in tables.groups.values():
        assert table.error(1) > 2 * table.error(table.order.size // 2)


def test_weights_of_errors_are_handed_on(tables, places):
    assert set(tables.importance) == {layer.node for layer in places.layers}
    assert all(
        np.mean(np.concatenate(found.rows)) == pytest.approx(1.0, rel=1e-3)
        for found in tables.importance.values()
    )
