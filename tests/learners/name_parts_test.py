import pytest

from learners.name_parts import name_parts, require_known
from utils.errors import InputError


def test_parts():
    assert name_parts("conv1, fc") == ("conv1", "fc")
    assert name_parts(" , ") == name_parts("") == name_parts(None) == ()


def test_a_part_in_no_name_is_refused():
    names = ["conv1", "conv2"]
    require_known(["conv", "1"], names, source="`flag`", which="here")
    message = r"^`flag`: no layer here has 'cov1' in its name\. Did you mean 'conv1'\? Valid: conv1"
    with pytest.raises(InputError, match=message):
        require_known(["conv", "cov1"], names, source="`flag`", which="here")
