import dataclasses

import pytest

from datasets import cifar10_dataset, paths
from datasets.config import DataConfig
from utils.errors import InputError

INFO = dataclasses.replace(
    cifar10_dataset.INFO, files=(("a.bin", 3), ("b.bin", None)), subfolders=("inner",)
)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("FLOWPRESS_DATA", raising=False)
    monkeypatch.setattr(paths, "read_path_conf", lambda: {})


def make_files(folder, size=3):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.bin").write_bytes(b"x" * size)
    (folder / "b.bin").write_bytes(b"")
    return folder


def test_given_folder_or_its_child(tmp_path):
    direct = make_files(tmp_path / "direct")
    outer = make_files(tmp_path / "outer" / "inner").parent
    assert paths.find_directory(INFO, DataConfig(data_dir_local=str(direct))) == direct
    assert paths.find_directory(INFO, DataConfig(data_dir_local=str(outer))) == outer / "inner"


def test_order_of_places(tmp_path, monkeypatch):
    for name in ("flag", "conf", "env/cifar10", "conf_root/cifar10"):
        make_files(tmp_path / name)
    settings = {"FLOWPRESS_DATA": str(tmp_path / "conf_root")}
    monkeypatch.setattr(paths, "read_path_conf", lambda: settings)
    assert paths.find_directory(INFO, DataConfig()) == tmp_path / "conf_root/cifar10"
    monkeypatch.setenv("FLOWPRESS_DATA", str(tmp_path / "env"))
    assert paths.find_directory(INFO, DataConfig()) == tmp_path / "env/cifar10"
    settings["data_dir_local_cifar10"] = str(tmp_path / "conf")
    assert paths.find_directory(INFO, DataConfig()) == tmp_path / "conf"
    config = DataConfig(data_dir_local=str(tmp_path / "flag"))
    assert paths.find_directory(INFO, config) == tmp_path / "flag"


def test_nothing_set_says_what_to_set():
    with pytest.raises(InputError, match=r"no data folder is set. Wanted: a.bin, b.bin. Give --da"):
        paths.find_directory(INFO, DataConfig())


def test_missing_folder_says_where_it_looked(tmp_path):
    config = DataConfig(data_dir_local=str(tmp_path / "no"))
    with pytest.raises(InputError, match=r"the folder .*no was not found. Wanted: a.bin, b.bin."):
        paths.find_directory(INFO, config)


def test_missing_file_is_named(tmp_path):
    make_files(tmp_path).joinpath("b.bin").unlink()
    message = r"b.bin was not found. Wanted: .* Looked in .* and .*inner \(from --data_dir_local\)"
    with pytest.raises(InputError, match=message):
        paths.find_directory(INFO, DataConfig(data_dir_local=str(tmp_path)))


def test_packed_files_say_how_to_unpack(tmp_path):
    (tmp_path / "a.bin.xz").write_bytes(b"")
    with pytest.raises(InputError) as error:
        paths.find_directory(INFO, DataConfig(data_dir_local=str(tmp_path)))
    assert "seem to be packed" not in str(error.value)
    script = tmp_path / "unpack_a.py"
    script.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=rf"packed: run `python {script} FOLDER` and give that"):
        paths.find_directory(INFO, DataConfig(data_dir_local=str(tmp_path)))


def test_files_scattered_over_two_folders(tmp_path):
    make_files(tmp_path / "inner").joinpath("b.bin").rename(tmp_path / "b.bin")
    with pytest.raises(InputError, match="a folder with all files was not found"):
        paths.find_directory(INFO, DataConfig(data_dir_local=str(tmp_path)))


@pytest.mark.parametrize(
    ("size", "problem"), [(2, "truncated at byte 2"), (4, "too long from byte 3")]
)
def test_wrong_size(tmp_path, size, problem):
    make_files(tmp_path, size)
    message = rf"a.bin: {problem}: the file has {size} bytes, it must have 3"
    with pytest.raises(InputError, match=message):
        paths.find_directory(INFO, DataConfig(data_dir_local=str(tmp_path)))


def test_hdfs_is_refused():
    with pytest.raises(InputError, match=r"`data_disk` must be 'local'.* Received: 'hdfs'"):
        paths.find_directory(INFO, DataConfig(data_disk="hdfs"))


def test_shipped_template_sets_nothing(monkeypatch):
    monkeypatch.undo()
    template = paths.PATH_CONF.with_name("path.conf.template")
    assert template.is_file()
    assert paths.read_path_conf(template) == {}


def test_path_conf(tmp_path, monkeypatch):
    monkeypatch.undo()
    file = tmp_path / "path.conf"
    file.write_text("# c\n\na = /x/y  # why\nb = None\nc = '/z'\n")
    assert paths.read_path_conf(file) == {"a": "/x/y", "c": "/z"}
    assert paths.read_path_conf(tmp_path / "absent") == {}
    file.write_text("a = 1\nnonsense\n")
    with pytest.raises(InputError, match=r"line 2: expected `key = value`. Received: 'nonsense'"):
        paths.read_path_conf(file)
