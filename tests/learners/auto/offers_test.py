"""What each target gains from."""

import pytest

from learners.auto.offers import DENSE, Option, deciding_file, make_offer, parse_patterns


@pytest.mark.parametrize(
    ("kinds", "target", "expected"),
    [
        (["float32", "int8", "tflm"], "tflm", "tflm"),
        (["float32", "int8", "tflm"], "cortex-m", "tflm"),
        (["float32", "int8"], "tflm", "int8"),
        (["float32", "int8"], "ethos-u55", "int8"),
        (["float32", "int8", "tflm"], None, "tflm"),
        ([], None, "fpq"),
    ],
)
def test_the_file_that_decides(kinds, target, expected):
    assert deciding_file(kinds, target) == expected


@pytest.mark.parametrize("target", ["litert", "tflm", "cortex-m", "ethos-u55", "ethos-u85"])
def test_no_scattered_zeros_for_dense_runtimes(target):
    offer = make_offer(["float32", "int8", "tflm"][: 3 if "u" not in target else 2], target)
    assert {option.pattern for option in offer.options} == {DENSE}


def test_without_a_target_zeros_and_all_bits():
    offer = make_offer(["int8"], None)
    assert {option.pattern for option in offer.options} == {DENSE, "element"}
    assert {option.bits for option in offer.options} == set(range(2, 9))
    assert (offer.kind, offer.deflated, offer.grid) == ("int8", True, "symmetric")


def test_int8_in_flash_gains_from_channels_alone():
    offer = make_offer(["int8"], "tflm")
    assert offer.options == (Option(bits=8),)
    assert not offer.deflated


def test_patterns_that_are_asked_for():
    offer = make_offer([], None, patterns=parse_patterns("2:4"), bits_min=4)
    assert {(o.pattern, o.percent) for o in offer.options} == {("dense", 100), ("2:4", 50)}
    assert min(option.bits for option in offer.options) == 4


@pytest.mark.parametrize("text", ["4:2", "4:8", "1:2", "1x4", "", "sparse"])
def test_patterns_that_cannot_be(text):
    with pytest.raises(ValueError, match="must be dense, element or N:4"):
        parse_patterns(text)


def test_at_least_one_weight_stays():
    assert Option(percent=1, pattern="element").count(10) == 1
