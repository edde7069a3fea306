"""Schemas: the first value that does not fit is named by its place."""

import math

import pytest

from utils.schema import (
    Anything,
    Fields,
    ListOf,
    MapOf,
    Maybe,
    Number,
    SchemaError,
    Switch,
    Text,
    Whole,
    brief,
    check,
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (object(), Anything()),
        (True, Switch()),
        (0, Whole(0, 0)),
        (1, Number()),
        (0.5, Number(0.0, 1.0)),
        (math.nan, Number(finite=False)),
        ("", Text(0)),
        (None, Maybe(Whole())),
        (3, Maybe(Whole())),
        ([1, 2], ListOf(Whole())),
        ({"x": []}, MapOf(ListOf(Whole()))),
        ({"a": 1, "b": 2}, Fields({"a": Whole()}, {"b": Whole()})),
        ({"a": 1, "c": 2}, Fields({"a": Whole()}, further=True)),
    ],
)
def test_what_fits(value, kind):
    assert check(value, kind) is None  # what does not fit raises


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (1, Switch(), "^it must be true or false. Received: 1$"),
        (True, Whole(), "whole number"),
        (1.0, Whole(), "whole number"),
        (2**53 + 1, Whole(), "whole number"),
        (5, Whole(0, 4), "whole number >= 0 and <= 4. Received: 5"),
        (True, Number(), "a finite number. Received: True"),
        (math.nan, Number(), "a finite number"),
        (math.inf, Number(), "a finite number"),
        (10**400, Number(0.0, 1.0), r"a number in \[0, 1\]"),
        ("1", Number(finite=False), "a number. Received: '1'"),
        (1, Text(), "a text"),
        ("xx", Text(1), "at most 1 characters"),
        ({}, ListOf(Whole()), "a list"),
        ([1, 2], ListOf(Whole(), longest=1), "at most 1 items"),
        ([1, "x"], ListOf(Whole()), r"`\[1\]` must"),
        ([], MapOf(Whole()), "an object"),
        ({"a": {"b": [0, None]}}, MapOf(MapOf(ListOf(Whole()))), r"^`a.b\[1\]` must"),
        ([], Fields({"a": Whole()}), "an object with a"),
        ({}, Fields({"a": Whole()}), "^it lacks `a`$"),
        ({"a": 1, "z": 2}, Fields({"a": Whole()}), "unknown entry 'z'"),
    ],
)
def test_what_does_not(value, kind, message):
    with pytest.raises(SchemaError, match=message):
        check(value, kind)


def test_received_values_are_brief():
    for value in ("x" * 10**6, list(range(10**6)), {str(i): i for i in range(999)}, 10**999):
        assert len(brief(value)) < 200
