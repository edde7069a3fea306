import pytest

from utils.errors import InputError
from utils.frontends.convert import convert


def test_the_frameworks_reader_is_called(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        convert("onnx", tmp_path / "net.onnx")
    with pytest.raises(InputError, match="unknown framework"):
        convert("caffe", "net")
