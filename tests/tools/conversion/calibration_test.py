import re

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


def refusal(path, model):
    """The one line that a file is refused with."""
    with pytest.raises(InputError) as error:
        read_calibration(str(path), model, 100)
    return str(error.value)


def test_refuses_wrong_files(tmp_path, one, two):
    assert re.search(
        r"cannot read the calibration samples: .*none\.npy", refusal(tmp_path / "none.npy", one)
    )
    assert re.search(r"none\.npz: no such file", refusal(tmp_path / "none.npz", one))
    assert re.search(
        r"must be a .npy or .npz file. Received: '.*images.png'",
        refusal(tmp_path / "images.png", one),
    )
    np.savez(tmp_path / "x.npz", x=np.zeros((6, 4)), z=np.zeros(6))
    assert re.search(
        r"lacks an array named 'y'. The model takes \['x', 'y'\]", refusal(tmp_path / "x.npz", two)
    )
    np.savez(tmp_path / "x.npz", x=np.zeros((6, 4)), y=np.zeros((5, 2)))
    assert re.search(
        r"equally many samples .* Received: {'x': 6, 'y': 5}", refusal(tmp_path / "x.npz", two)
    )
    np.save(tmp_path / "empty.npy", np.zeros((0, 4)))
    assert re.search("at least one", refusal(tmp_path / "empty.npy", one))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    assert re.search("must hold numbers", refusal(tmp_path / "words.npy", one))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object))
    assert re.search("cannot read the calibration samples", refusal(tmp_path / "pickle.npy", one))


def test_refuses_damaged_headers(tmp_path, one):
    path = tmp_path / "huge.npy"
    with path.open("wb") as stream:
        header = {"shape": (2_000_000_000, 4), "fortran_order": False, "descr": "<f4"}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(b"few bytes")
    assert re.search("cannot read the calibration samples", refusal(path, one))
    path.write_bytes(path.read_bytes().replace(b"}", b"("))
    assert re.search("cannot read the calibration samples", refusal(path, one))
