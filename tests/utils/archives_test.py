"""Damaged and hostile archives are refused with one line, before memory is taken."""

import io
import json
import pathlib
import random
import zipfile

import h5py
import keras
import numpy as np
import pytest

from benchmarks.faults import hostile_files
from utils.archives import check_keras_archive, check_npz
from utils.errors import InputError


@pytest.fixture(name="npz")
def _npz(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "weights.npz"
    np.savez(path, kernel=np.arange(1000.0), bias=np.ones(3))
    return path


@pytest.fixture(name="model_path")
def _model_path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    return path


def _rewrite(path: pathlib.Path, name: str, content: bytes) -> None:
    """Replace one entry of an archive."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in (entries | {name: content}).items():
            archive.writestr(entry, data)


def _npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def test_intact_files_pass(npz: pathlib.Path, model_path: pathlib.Path) -> None:
    before = npz.read_bytes(), model_path.read_bytes()
    check_npz(npz)
    check_keras_archive(model_path)
    assert (npz.read_bytes(), model_path.read_bytes()) == before
    assert np.load(npz).files
    assert keras.models.load_model(model_path).built


def test_missing_file_lists_its_neighbours(npz: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"no such file.*there is: weights\.npz"):
        check_npz(npz.with_name("weigths.npz"))
    with pytest.raises(InputError, match=r"the folder '.*none' does not exist either"):
        check_npz(npz.parent / "none" / "weights.npz")
    with pytest.raises(InputError, match=r"is a folder\. Expected a \.npz file"):
        check_npz(npz.parent)


def test_what_is_no_archive(npz: pathlib.Path) -> None:
    npz.write_bytes(b"")
    with pytest.raises(InputError, match=r"is empty \(0 bytes\), not a \.npz file"):
        check_npz(npz)
    npz.write_bytes(b"hello, world")
    with pytest.raises(InputError, match=r"is not a \.npz file \(a ZIP archive\)"):
        check_npz(npz)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_file_names_the_offset(npz: pathlib.Path, share: float) -> None:
    content = npz.read_bytes()
    cut = int(share * len(content))
    npz.write_bytes(content[:cut])
    with pytest.raises(InputError, match=rf"truncated or damaged at byte {cut}"):
        check_npz(npz)


def test_flipped_byte_names_the_entry(npz: pathlib.Path) -> None:
    content = bytearray(npz.read_bytes())
    content[4000] ^= 1
    npz.write_bytes(content)
    with pytest.raises(InputError, match=r"entry 'kernel\.npy' at byte 0 is damaged"):
        check_npz(npz)


def test_a_name_in_front_of_the_content_that_is_no_text(npz: pathlib.Path) -> None:
    """Names stand twice, in the list of entries and in front of each entry's content."""
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("größe.npy", _npy(np.ones(3)))  # so the flag says UTF-8
    content = npz.read_bytes()
    npz.write_bytes(content.replace("ö".encode(), b"\x8b\xb6", 1))
    with pytest.raises(InputError, match=r"entry 'größe\.npy' at byte 0 has another name there"):
        check_npz(npz)


@pytest.mark.parametrize(
    "name", ["../evil.npy", "/etc/evil.npy", "a\\..\\..\\evil.npy", "C:evil.npy"]
)
def test_names_that_leave_the_archive(npz: pathlib.Path, name: str) -> None:
    _rewrite(npz, name, _npy(np.zeros(1)))
    with pytest.raises(InputError, match="points outside the archive"):
        check_npz(npz)


def test_decompression_bomb(npz: pathlib.Path) -> None:
    with (
        zipfile.ZipFile(npz, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.npy", "w", force_zip64=True) as stream,
    ):
        for _ in range(300):
            stream.write(bytes(1 << 20))
    with pytest.raises(InputError, match=r"'bomb\.npy' unpacks [\d,]+ to 314,572,800 bytes"):
        check_npz(npz)


def test_total_size_limit(npz: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"unpacks to [\d,]+ bytes, more than the limit of 1,000"):
        check_npz(npz, max_bytes=1000)


def test_overlapping_entries(npz: pathlib.Path) -> None:
    with zipfile.ZipFile(npz, "a") as archive:
        for index in range(3):  # directory entries that share the data of the first
            entry = zipfile.ZipInfo(f"copy{index}.npy")
            first = archive.infolist()[0]
            entry.header_offset, entry.CRC = first.header_offset, first.CRC
            entry.file_size, entry.compress_size = first.file_size, first.compress_size
            archive.filelist.append(entry)
            archive._didModify = True
    with pytest.raises(InputError, match="its entries overlap"):
        check_npz(npz)


def test_duplicate_names(npz: pathlib.Path) -> None:
    with pytest.warns(UserWarning), zipfile.ZipFile(npz, "a") as archive:
        archive.writestr("bias.npy", _npy(np.zeros(1)))
    with pytest.raises(InputError, match="two entries have the same name"):
        check_npz(npz)


def test_pickled_array(npz: pathlib.Path) -> None:
    _rewrite(npz, "object.npy", _npy(np.array([{}], dtype=object), allow_pickle=True))
    with pytest.raises(InputError, match=r"'object\.npy' holds pickled objects"):
        check_npz(npz)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no header", "has no valid header"),
        (_npy(np.zeros(4))[:-8], "declares 32 bytes of data, 24 are there"),
        (_npy(np.zeros(4)).replace(b"(4,)", b"(-4,)")[:-1], "impossible shape|no valid header"),
    ],
)
def test_bad_arrays(npz: pathlib.Path, content: bytes, message: str) -> None:
    _rewrite(npz, "bad.npy", content)
    with pytest.raises(InputError, match=message):
        check_npz(npz)


def test_entry_that_is_no_array(npz: pathlib.Path) -> None:
    _rewrite(npz, "readme.txt", b"hello")
    with pytest.raises(InputError, match=r"'readme\.txt' is no array"):
        check_npz(npz)


def test_zip_that_is_no_model(npz: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"a ZIP, but not a \.keras file: it lacks 'config\.json'"):
        check_keras_archive(npz)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "is not JSON"), (b"[" * 200_000, "is not JSON"), (b"[]", "describes no Keras model")],
)
def test_bad_configuration(model_path: pathlib.Path, content: bytes, message: str) -> None:
    _rewrite(model_path, "config.json", content)
    with pytest.raises(InputError, match=rf"'config\.json' {message}"):
        check_keras_archive(model_path)


def _h5(**dataset: object) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as weights:
        weights.create_dataset("layers/dense/vars/0", dtype="f4", **dataset)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "is not HDF5"),
        (_h5(shape=(1 << 40,), chunks=(1024,)), "unpack 0 to 4,398,046,511,104 bytes"),
        (_h5(shape=(4,), external=[("/etc/passwd", 0, 16)]), "lie in another file"),
    ],
)
def test_bad_weights(model_path: pathlib.Path, content: bytes, message: str) -> None:
    _rewrite(model_path, "model.weights.h5", content)
    with pytest.raises(InputError, match=message):
        check_keras_archive(model_path)


def test_configuration_must_name_a_class(model_path: pathlib.Path) -> None:
    _rewrite(model_path, "config.json", json.dumps({"layers": []}).encode())
    with pytest.raises(InputError, match="describes no Keras model"):
        check_keras_archive(model_path)


def test_many_small_bombs_are_one(npz: pathlib.Path) -> None:
    with zipfile.ZipFile(npz, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.npy", bytes(100 << 20))
    with pytest.raises(InputError, match=r"unpacks to 314,572,800 bytes in 3 entries, from"):
        check_npz(npz)


def test_a_long_list_of_entries_is_not_read(npz: pathlib.Path) -> None:
    content = hostile_files.ARCHIVE["entries"](npz.read_bytes(), random.Random(0))
    npz.write_bytes(content)
    with pytest.raises(InputError, match=r"its list of entries has 1\d,\d+,\d+ bytes"):
        check_npz(npz)


@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "dangling", "loop", "empty"])
def test_what_is_no_file(tmp_path: pathlib.Path, kind: str) -> None:
    path = dict(hostile_files.places(tmp_path, "x.npz"))[kind]
    with pytest.raises(InputError) as caught:
        check_npz(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones(2, np.complex64), "hold complex64"),
        (np.ones(2, bool), "hold bool"),
        (np.zeros(2, [("a", "f4")]), "hold "),
    ],
)
def test_weights_that_are_no_numbers(
    model_path: pathlib.Path, array: np.ndarray, words: str
) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["layers/dense/vars/0"] = array
    _rewrite(model_path, "model.weights.h5", stream.getvalue())
    with pytest.raises(
        InputError, match=rf"weights 'layers/dense/vars/0' {words}.*no real numbers"
    ):
        check_keras_archive(model_path)
