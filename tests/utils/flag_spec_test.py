"""What one flag accepts, beyond what it declares."""

import pytest

import learners
import nets
from learners.config import RunConfig
from utils import flags
from utils.errors import InputError
from utils.flag_spec import FlagInfo, FlagSpec


def spec(kind, **info):
    return FlagSpec("x", kind, False, None, FlagInfo("help", **info), ("x",))


@pytest.mark.parametrize("value", [10**23, -(10**23), 2**31 - 1])
def test_every_whole_number_is_bounded(value):
    with pytest.raises(InputError, match=r"`x` must be in \[-?\d+, 1000000000\]"):
        spec(int).check(value)
    spec(int).check(10**9)


def test_a_bound_of_its_own_may_be_larger():
    spec(int, lower=0, upper=2**31 - 1).check(2**31 - 1)
    with pytest.raises(InputError, match=r"`x` must be in \(-inf, 2147483647\]"):
        spec(int, upper=2**31 - 1).check(2**31)
    with pytest.raises(InputError, match=r"`x` must be in \[-1000000000, 2147483647\]"):
        spec(int, upper=2**31 - 1).check(-(2**31))


def test_every_number_is_bounded():
    with pytest.raises(InputError, match=r"in \[0, 1e\+09\]. Received: 1e\+23"):
        spec(float, lower=0).check(1e23)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "a path"),
        ("  ", "a path"),
        ("a\nb", "no control characters"),
        ("a\x7f", "no control characters"),
        ("a\udcff", "UTF-8"),
        ("a/" + "ü" * 200, "at most 255 bytes"),
        ("a/" * 5_000, "at most 3800 characters"),
    ],
)
def test_paths_that_cannot_be(value, message):
    with pytest.raises(InputError, match=message) as caught:
        spec(str, path=True).check(value)
    assert str(caught.value).isprintable()


def test_all_numbers_of_all_flags_are_bounded():
    classes = [RunConfig, *(learners.config_class(name) for name in learners.LEARNERS)]
    classes += [nets.load_helper_class(name).config_class for name in nets.HELPERS]
    for each in {spec.name: spec for cls in classes for spec in flags.describe(cls)}.values():
        if each.type in (int, float):
            with pytest.raises(InputError, match=f"`{each.name}` must be in"):
                each.check(each.type(1e23))
