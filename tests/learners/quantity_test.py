import dataclasses

import pytest

from learners.budget import KINDS
from learners.quantity import QUANTITIES
from utils.report.schema import Search


@pytest.mark.parametrize("name", QUANTITIES)
def test_every_quantity_can_be_limited_by_something_counted_first(name):
    kinds = QUANTITIES[name].kinds
    assert set(kinds) <= set(KINDS)
    assert not KINDS[kinds[0]].measured


def test_a_report_knows_every_quantity():
    (field,) = (field for field in dataclasses.fields(Search) if field.name == "quantity")
    assert set(QUANTITIES) <= set(field.metadata["choices"])
