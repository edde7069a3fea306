# ruff: noqa: RUF009  entry() makes a dataclass field, no value that instances would share
import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from utils.report.records import Record, Scalar, bounds_in_words, entry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner(Record):
    share: float = entry("a share", lower=0, upper=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer(Record):
    name: str = entry("a name", choices=("a", "b"), default="a")
    number: int | None = entry("a number", lower=1, default=None)
    flag: bool = entry("a flag", default=False)
    inner: Inner | None = entry("an object", default=None)
    many: tuple[Inner, ...] = entry("objects", default=())
    values: Mapping[str, Scalar] = entry("anything", factory=dict)
    others: Mapping[str, float] = entry("the rest", factory=dict, rest=True)


def test_round_trip():
    record = Outer(
        name="b",
        number=3,
        flag=True,
        inner=Inner(share=1),
        many=(Inner(share=0.25), Inner(share=0.5)),
        values={"text": "x", "none": None, "yes": True, "float": 0.5},
        others={"val_loss": 0.1},
    )
    document = record.to_dict()
    assert document == {
        "name": "b",
        "number": 3,
        "flag": True,
        "inner": {"share": 1.0},
        "many": [{"share": 0.25}, {"share": 0.5}],
        "values": {"text": "x", "none": None, "yes": True, "float": 0.5},
        "val_loss": 0.1,
    }
    assert Outer.from_dict(document) == record


def test_numpy_scalars_become_python_numbers():
    record = Outer(number=np.int64(3), flag=np.bool_(True), inner=Inner(share=np.float32(0.5)))
    assert type(record.number) is int
    assert record.flag is True
    assert type(record.inner.share) is float


def test_whole_numbers_are_accepted_as_numbers_but_not_the_reverse():
    assert type(Inner(share=1).share) is float
    with pytest.raises(ValueError, match=r"Outer.number must be a whole number. Received: 2.5"):
        Outer(number=2.5)


def test_constant_defaults_may_be_missing_others_not():
    assert Outer.from_dict({"values": {}}).name == "a"
    with pytest.raises(ValueError, match="Outer lacks: values"):
        Outer.from_dict({})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "c"}, r"^name must be one of a, b\. Received: 'c'"),
        ({"name": 3}, r"^name must be a text\. Received: 3"),
        ({"number": 0}, r"^number must be at least 1\. Received: 0"),
        ({"number": True}, r"^number must be a whole number\. Received: True"),
        ({"flag": 1}, r"^flag must be true or false\. Received: 1"),
        ({"inner": {"share": 1.5}}, r"^inner\.share must be in \[0, 1\]\. Received: 1\.5"),
        ({"inner": {"share": float("nan")}}, r"^inner\.share must be a finite number\."),
        ({"inner": 3}, r"^inner must be an object\. Received: 3"),
        ({"many": [{"share": 0}, {}]}, r"^many\[1\] lacks: share"),
        ({"many": "text"}, r"^many must be a list\. Received: 'text'"),
        ({"many": [{"share": 0, "x": 1}]}, r"^many\[0\] has unknown entries: x\. Known: share"),
        ({"values": 3}, r"^values must be an object"),
        ({"values": {"a": [1]}}, r"^values\.a must be a text, a finite number"),
        ({"val_loss": "high"}, r"^others\.val_loss must be a finite number"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(change, message):
    with pytest.raises(ValueError, match=message):
        Outer.from_dict({"values": {}, **change})


def test_no_object_at_all():
    with pytest.raises(ValueError, match=r"Inner must be an object\. Received: \[\]"):
        Inner.from_dict([])


def test_records_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Inner(share=0).share = 1


def test_bounds_in_words():
    assert bounds_in_words(None, 3) == "at most 3"
    assert bounds_in_words(None, None) == ""
