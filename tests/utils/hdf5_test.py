import h5py
import numpy as np
import pytest

from utils.errors import InputError
from utils.hdf5 import is_hdf5, open_hdf5


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.h5"


def make(path, fill):
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def test_attributes(path):
    def fill(file):
        file.attrs["fixed"] = b"caf\xc3\xa9"
        file.attrs["free"] = "ü"
        file.attrs["number"] = 3
        file.attrs["names"] = np.array([b"a", b"bc"])
        file.attrs["free_names"] = ["a", "bc"]
        file.attrs["none"] = np.zeros(0)
        file.attrs["long0"], file.attrs["long1"] = np.array([b"a"]), np.array([b"b"])

    with open_hdf5(make(path, fill)) as file:
        root = file.root
        assert file.text(root, "fixed") == "café" and file.text(root, "free") == "ü"
        assert file.text(root, "gone") is None
        assert file.texts(root, "names") == file.texts(root, "free_names") == ["a", "bc"]
        assert file.texts(root, "none") == [] and file.texts(root, "long") == ["a", "b"]
        with pytest.raises(InputError, match=r"a.h5: its attribute 'number' is no text"):
            file.text(root, "number")
        with pytest.raises(InputError, match=r"a.h5: '/' lacks the list 'gone'"):
            file.texts(root, "gone")


def test_arrays(path):
    def fill(file):
        file["deep/er/x"] = np.arange(6).reshape(2, 3)
        file["text"] = "no number"

    with open_hdf5(make(path, fill)) as file:
        place = file.group(file.root, "deep")
        np.testing.assert_array_equal(
            file.read(file.dataset(place, "er/x")), [[0, 1, 2], [3, 4, 5]]
        )
        with pytest.raises(InputError, match=r"a.h5: lacks 'er/y'"):
            file.dataset(place, "er/y")
        with pytest.raises(InputError, match=r"a.h5: lacks 'er/x/y'"):
            file.dataset(place, "er/x/y")
        with pytest.raises(InputError, match=r"a.h5: 'er/x' is no group"):
            file.group(place, "er/x")
        for name in ("text", "deep"):
            with pytest.raises(InputError, match=rf"a.h5: '{name}' is no array of numbers"):
                file.dataset(file.root, name)


def test_nothing_leads_elsewhere(path, tmp_path):
    make(tmp_path / "b.h5", lambda file: file.create_dataset("x", data=[1.0]))

    def fill(file):
        file["link"] = h5py.ExternalLink("b.h5", "/x")
        file["soft"] = h5py.SoftLink("/real")
        file["real"] = [1.0]
        file.create_dataset("raw", (4,), "f", external=[(str(tmp_path / "b.h5"), 0, 16)])
        layout = h5py.VirtualLayout((1,), "f")
        layout[:] = h5py.VirtualSource(str(tmp_path / "b.h5"), "x", (1,))
        file.create_virtual_dataset("virtual", layout)

    with open_hdf5(make(path, fill)) as file:
        for name in ("link", "soft"):
            with pytest.raises(InputError, match=rf"'{name}' is a link to elsewhere. Refused"):
                file.dataset(file.root, name)
        for name in ("raw", "virtual"):
            with pytest.raises(InputError, match=rf"weights '{name}' lie in another file"):
                file.dataset(file.root, name)


def test_sizes_are_not_believed(path):
    def fill(file):
        file.create_dataset("bomb", (10**6, 10**6), "f", chunks=(1000, 1000))
        for number in range(3):
            file.create_dataset(f"part{number}", (100 << 20,), "i1", chunks=(1 << 20,))
        file.attrs.create("many", [b"x" * (1 << 16)] * 1, dtype=h5py.string_dtype())

    with open_hdf5(make(path, fill)) as file:
        with pytest.raises(InputError, match=r"weights 'bomb' unpack 0 to 4,000,000,000,000 bytes"):
            file.dataset(file.root, "bomb")
        for number in range(2):
            assert file.read(file.dataset(file.root, f"part{number}")).size == 100 << 20
        with pytest.raises(InputError, match=r"its arrays unpack [\d,]+ bytes to far more"):
            file.read(file.dataset(file.root, "part2"))


def test_one_text_many_times_is_refused(path):
    """Four thousand names, each of which may be the one text of two megabytes: 8 GB."""

    def fill(file):
        file.attrs.create("list", ["x"] * 4000, dtype=h5py.string_dtype())
        file.attrs["short"] = ["a name", "another"]
        file.attrs["description"] = "x" * (2 << 20)

    with open_hdf5(make(path, fill)) as file:
        assert len(file.text(file.root, "description")) == 2 << 20
        assert file.texts(file.root, "short") == ["a name", "another"]
        with pytest.raises(InputError, match=r"'list' may take 8,388,608,000 bytes. Refused"):
            file.texts(file.root, "list")


def test_other_files(path, tmp_path):
    make(path, lambda file: None)
    assert is_hdf5(path) and not is_hdf5(tmp_path / "none.h5") and not is_hdf5(tmp_path)
    with (
        pytest.raises(InputError, match=r"none.h5: no such file. Expected an .h5 file; in that f"),
        open_hdf5(tmp_path / "none.h5"),
    ):
        pass
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"a.h5: is not an .h5 file \(HDF5\)"), open_hdf5(path):
        pass
