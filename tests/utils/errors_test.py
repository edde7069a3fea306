import pytest

from utils.errors import InputError


def test_front_doors_catch_it_as_what_it_is():
    """Pure functions raise ValueError; who catches that catches this too."""
    with pytest.raises(ValueError, match=r"^`ratio` must be below 1\. Received: 2\.$") as caught:
        raise InputError("`ratio` must be below 1. Received: 2.")
    assert isinstance(caught.value, InputError)
