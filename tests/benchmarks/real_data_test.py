import pytest

from benchmarks import real_data
from datasets import cifar10_dataset

SCRIPT = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1]) / "cifar-10-batches-bin"
folder.mkdir()
for name, size in FILES: (folder / name).write_bytes(b"x" * size)
with open(COUNT, "a") as count: count.write("x")
"""


def test_without_the_variable_the_reason_is_clear(monkeypatch, tmp_path):
    monkeypatch.delenv("FLOWPRESS_DATA", raising=False)
    with pytest.raises(real_data.DataUnavailableError, match="needs real data: set FLOWPRESS_DATA"):
        real_data.data_root()
    monkeypatch.setenv("FLOWPRESS_DATA", str(tmp_path / "no"))
    with pytest.raises(real_data.DataUnavailableError, match="no is not a folder"):
        real_data.data_root()
    monkeypatch.setenv("FLOWPRESS_DATA", str(tmp_path))
    with pytest.raises(real_data.DataUnavailableError, match=r"a/b.npz does not exist"):
        real_data.data_file("a/b.npz")
    (tmp_path / "cifar10").mkdir()
    monkeypatch.setattr(real_data, "_CACHE", tmp_path / "cache")
    with pytest.raises(real_data.DataUnavailableError, match=r"neither the .bin batches nor"):
        real_data.cifar10_dir()


def test_packed_batches_are_unpacked_once(monkeypatch, tmp_path):
    info = cifar10_dataset.INFO
    files = tuple((name, 3) for name, _ in info.files)
    monkeypatch.setattr(cifar10_dataset, "INFO", type(info)(**{**vars(info), "files": files}))
    monkeypatch.setattr(real_data, "_CACHE", tmp_path / "cache")
    monkeypatch.setenv("FLOWPRESS_DATA", str(tmp_path))
    (tmp_path / "cifar10").mkdir()
    script = SCRIPT.replace("FILES", repr(files)).replace("COUNT", repr(str(tmp_path / "count")))
    (tmp_path / "cifar10" / "unpack_cifar10.py").write_text(script)
    for _ in range(2):
        assert real_data.cifar10_dir() == tmp_path / "cache" / "cifar-10-batches-bin"
    assert (tmp_path / "count").read_text() == "x"
    for name, _ in files:
        (tmp_path / "cifar10" / name).write_bytes(b"xyz")
    assert real_data.cifar10_dir() == tmp_path / "cifar10"
