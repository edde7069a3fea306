import os
import warnings

import pytest

from utils.export.quiet import quiet_native


def test_silences_native_and_python_output(capfd):
    with quiet_native():
        os.write(2, b"from C++\n")
        warnings.warn("old", stacklevel=1)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_restores_after_an_exception(capfd):
    with pytest.raises(KeyError), quiet_native():
        raise KeyError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_nests_and_leaks_no_descriptors():
    before = len(os.listdir("/proc/self/fd"))
    with quiet_native(), quiet_native():
        pass
    assert len(os.listdir("/proc/self/fd")) == before
