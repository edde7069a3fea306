import importlib.util

import pytest

from utils.errors import InputError
from utils.export.targets_tools import require_tools


@pytest.mark.parametrize(("target", "extra"), [("cortex-m", "tflm"), ("ethos-u55", "npu")])
def test_a_missing_package_is_named_with_its_extra(target, extra, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"pip install '\.\[{extra}\]'"):
        require_tools(target)


def test_phones_need_nothing_more(monkeypatch):
    asked = []
    monkeypatch.setattr(importlib.util, "find_spec", asked.append)  # gives None: not installed
    require_tools("litert")
    assert asked == []
