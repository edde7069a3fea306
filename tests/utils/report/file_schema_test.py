import pytest

from tests.utils.report import samples
from utils.report import Bounds, Estimate, File, Tensor


def test_a_file_with_its_tensors_becomes_json_and_comes_back():
    file = samples.file("int8")
    assert File.from_dict(file.to_dict()) == file
    assert file.to_dict()["inputs"][0] == {
        "name": "images",
        "shape": [1, 32, 32, 3],
        "dtype": "int8",
        "scale": 2 / 255,
        "zero_point": -128,
    }


def test_a_float_tensor_has_no_scale():
    assert Tensor(name="x", shape=(1, 2), dtype="float32").scale is None
    with pytest.raises(ValueError, match=r"Tensor\.scale must be at least 0"):
        Tensor(name="x", shape=(1,), dtype="int8", scale=-1.0)


def test_an_interval_does_not_end_before_it_begins():
    assert 0.0 in Estimate(value=0.1, low=-0.1, high=0.3)
    with pytest.raises(ValueError, match="must not end before it begins"):
        Bounds(low=1.0, high=0.0)
