import importlib.util

import pytest

from utils.errors import InputError
from utils.reconstructors.needs import require_torch


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package torch.*'\.\[torch\]'"):
        require_torch()
