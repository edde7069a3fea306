import pytest

from tools.benchmark.model_files import join_repeated, model_files
from utils.errors import InputError


def test_files(tmp_path):
    for name in ("a.x", "b.y"):
        (tmp_path / name).touch()
    names = [f"{tmp_path}/a.x", f"{tmp_path}/b.y"]
    assert model_files(" , ".join(names), (".x", ".y"), ".x or .y") == names
    with pytest.raises(InputError, match=r"must end in \.x\. Received: '.*b\.y'"):
        model_files(names[1], (".x",), ".x")
    with pytest.raises(InputError, match=r"must name each file once\. Received twice: .*a\.x"):
        model_files(f"{names[0]},{names[0]}", (".x",), ".x")


def test_a_flag_that_is_repeated():
    assert join_repeated(["--a", "1", "-m", "x", "--m=y,z"], "m") == ["--a", "1", "--m=x,y,z"]
    assert join_repeated(["--a=1"], "m") == ["--a=1"]
