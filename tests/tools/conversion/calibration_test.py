import keras
import numpy as np
import pytest

from tools.conversion.calibration import read_calibration
from utils.errors import InputError


@pytest.fixture(scope="module")
def one():
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, keras.layers.Dense(2)(inputs))


@pytest.fixture(scope="module")
def two():
    inputs = [keras.Input((4,), name="x"), keras.Input((2,), name="y")]
    return keras.Model(inputs, keras.layers.Concatenate()(inputs))


def test_npy(tmp_path, one):
    values = np.arange(20, dtype=np.float32).reshape(5, 4)
    np.save(tmp_path / "x.npy", values)
    np.testing.assert_array_equal(
        read_calibration(str(tmp_path / "x.npy"), one, 3)["x"], values[:3]
    )


def test_npz_by_name(tmp_path, two):
    arrays = {"y": np.ones((6, 2)), "x": np.zeros((6, 4)), "labels": np.zeros(6)}
    np.savez(tmp_path / "x.npz", **arrays)
    samples = read_calibration(str(tmp_path / "x.npz"), two, 100)
    assert {name: array.shape for name, array in samples.items()} == {"x": (6, 4), "y": (6, 2)}


def test_the_only_array_has_any_name(tmp_path, one):
    np.savez(tmp_path / "x.npz", images=np.zeros((6, 4)))
    assert read_calibration(str(tmp_path / "x.npz"), one, 100)["x"].shape == (6, 4)


def test_random_samples_without_a_file(two):
    samples = read_calibration(None, two, 100)
    assert {name: array.shape for name, array in samples.items()} == {"x": (16, 4), "y": (16, 2)}
    np.testing.assert_array_equal(samples["x"], read_calibration(None, two, 100)["x"])


def refused(path, model, match):
    with pytest.raises(InputError, match=match):
        read_calibration(str(path), model, 100)


def test_refuses_wrong_files(tmp_path, one, two):
    refused(tmp_path / "none.npy", one, r"cannot read the calibration samples: .*none\.npy")
    refused(tmp_path / "none.npz", one, r"none\.npz: no such file")
    refused(tmp_path / "images.png", one, r"must be a .npy or .npz file. Received: '.*images.png'")
    np.savez(tmp_path / "x.npz", x=np.zeros((6, 4)), z=np.zeros(6))
    refused(tmp_path / "x.npz", two, r"lacks an array named 'y'. The model takes \['x', 'y'\]")
    np.savez(tmp_path / "x.npz", x=np.zeros((6, 4)), y=np.zeros((5, 2)))
    refused(tmp_path / "x.npz", two, r"equally many samples .* Received: {'x': 6, 'y': 5}")
    np.save(tmp_path / "empty.npy", np.zeros((0, 4)))
    refused(tmp_path / "empty.npy", one, "at least one")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    refused(tmp_path / "words.npy", one, "must hold numbers")
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object))
    refused(tmp_path / "pickle.npy", one, "cannot read the calibration samples")


def test_refuses_damaged_headers(tmp_path, one):
    path = tmp_path / "huge.npy"
    with path.open("wb") as stream:
        header = {"shape": (2_000_000_000, 4), "fortran_order": False, "descr": "<f4"}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(b"few bytes")
    refused(path, one, "cannot read the calibration samples")
    path.write_bytes(path.read_bytes().replace(b"}", b"("))
    refused(path, one, "cannot read the calibration samples")
