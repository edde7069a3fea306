import pytest

from learners.filters.thresholds import THRESHOLDS, check_thresholds, parse_thresholds
from learners.soft_pruning.config import SoftPrunedConfig
from utils.errors import InputError


def test_the_documents_list_is_the_default():
    assert THRESHOLDS == (0.8, 0.7, 0.6, 0.55, 0.5) == SoftPrunedConfig().falling()
    check_thresholds(THRESHOLDS)


@pytest.mark.parametrize("text", ["0.5,0.6", "0.5,0.5", "1,0.5", "0.5,0", "nan"])
def test_lists_that_do_not_fall_or_leave_the_range(text):
    message = r"^`x` must be numbers in \(0, 1\), each smaller than the one before\. Received: "
    with pytest.raises(InputError, match=message):
        parse_thresholds(text, "`x`")


@pytest.mark.parametrize("text", ["", "0.5,,0.4", "half"])
def test_what_is_no_list_of_numbers(text):
    with pytest.raises(InputError, match=rf"^`x` must be numbers separated by.*Received: '{text}'"):
        parse_thresholds(text, "`x`")


def test_an_empty_list():
    with pytest.raises(InputError, match="Received: none"):
        check_thresholds([])
