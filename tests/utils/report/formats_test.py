import pytest

from utils.report import formats


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (9_994, "9.99 k"),
        (9_996, "10.0 k"),
        (99_960, "100 k"),
        (999_400, "999 k"),
        (999_600, "1.00 M"),
        (40_813_184, "40.8 M"),
        (2.5e15, "2500 T"),
        (None, "–"),
    ],
)
def test_count_has_three_digits(number, text):
    assert formats.count(number) == text


def test_size_is_decimal():
    assert formats.size(999) == "999 B"
    assert formats.size(1_000_000) == "1.00 MB"


def test_points_have_a_sign_but_zero_has_none():
    assert formats.points(0.003) == "+0.30 points"
    assert formats.points(-0.02319) == "-2.32 points"
    assert formats.points(-0.0000001) == "0.00 points"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.96, "1 min 0 s"), (3599.7, "1 h 0 min"), (366, "6 min 6 s")],
)
def test_durations_carry_over(seconds, text):
    assert formats.duration(seconds) == text


def test_times_needs_both():
    assert formats.times(4, 1) == "0.25x"
    assert formats.times(None, 1) == formats.times(4, None) == formats.times(0, 1) == ""


def test_milliseconds_by_size():
    assert formats.milliseconds(3.54) == "3.54 ms"
    assert formats.milliseconds(120.04) == "120.0 ms"
