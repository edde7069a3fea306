import pathlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.frontends.mxnet.checkpoint import params_bytes
from utils.errors import InputError
from utils.frontends.mxnet.params import parse_params, read_params

ARRAYS = {
    "arg:w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "aux:m": np.arange(3, dtype=np.int64),
    "h": np.ones((1, 2), np.float16),
}
FILE = pathlib.Path("net.params")


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_all_versions_of_the_format(version):
    found = parse_params(params_bytes(ARRAYS, version), FILE)
    assert list(found) == ["w", "m", "h"]
    for array, wanted in zip(found.values(), ARRAYS.values(), strict=True):
        np.testing.assert_array_equal(array, wanted)
    assert found["h"].dtype == np.float32


def test_a_scalar_of_the_newest_version():
    found = parse_params(params_bytes({"s": np.float32(4).reshape(())}, 3), FILE)
    assert found["s"].shape == ()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 200))
def test_truncated_files_are_refused(cut):
    data = params_bytes(ARRAYS)
    with pytest.raises(InputError, match=r"net\.params"):
        parse_params(data[: min(cut, len(data) - 1)], FILE)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1000), st.binary(min_size=1, max_size=8))
def test_changed_files_make_no_other_error(place, patch):
    data = bytearray(params_bytes(ARRAYS))
    place %= len(data)
    data[place : place + len(patch)] = patch
    try:
        found = parse_params(bytes(data), FILE)
    except InputError as error:
        assert "net.params" in str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in found.values())


def test_sizes_are_checked_before_memory_is_taken():
    huge = struct.pack("<QQQIiI2qiii", 0x112, 0, 1, 0xF993FAC9, 0, 2, 1 << 40, 1 << 20, 1, 0, 0)
    with pytest.raises(InputError, match="bytes are needed"):
        parse_params(huge + bytes(64), FILE)
    with pytest.raises(InputError, match="announces"):
        parse_params(struct.pack("<QQQ", 0x112, 0, 1 << 60), FILE)


@pytest.mark.parametrize(("data", "words"), [
    (b"PK\x03\x04" + bytes(40), "is not an MXNet"),
    (params_bytes(ARRAYS) + b"x", "goes on after"),
    (struct.pack("<QQQIi", 0x112, 0, 1, 0xF993FAC9, 1) + bytes(64), "sparse"),
    (struct.pack("<QQQIiIqiii", 0x112, 0, 1, 0xF993FAC9, 0, 1, 1, 1, 0, 77) + bytes(9), "type 77"),
    (struct.pack("<QQQIiI", 0x112, 0, 1, 0xF993FAC9, 0, 99) + bytes(64), "99 axes"),
])  # fmt: skip
def test_what_is_wrong_is_said(data, words):
    with pytest.raises(InputError, match=words):
        parse_params(data, FILE)


def test_missing_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_params(tmp_path / "net.params")
