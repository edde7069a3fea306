"""`.npz` files and folders of idx files."""

import gzip
import struct

import numpy as np
import pytest

from datasets.user_data.array_files import is_idx_folder, read_idx_folder, read_npz
from utils.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 4, 5), dtype=np.uint8)
LABELS = (np.arange(30) % 3).astype(np.uint8)


def test_npz_with_both_parts(tmp_path):
    np.savez(
        tmp_path / "d.npz", x_train=IMAGES[:20], y_train=LABELS[:20], x_test=IMAGES[20:],
        y_test=np.eye(3)[LABELS[20:]],
    )  # fmt: skip
    data = read_npz(tmp_path / "d.npz")
    np.testing.assert_array_equal(data.train.inputs.array, IMAGES[:20])
    np.testing.assert_array_equal(data.test.labels, LABELS[20:])
    assert data.train.inputs.white == 255.0


@pytest.mark.parametrize("names", [("x", "y"), ("x_train", "y_train")])
def test_npz_without_a_test_part(tmp_path, names):
    np.savez(tmp_path / "d.npz", **dict(zip(names, (IMAGES, LABELS), strict=True)))
    data = read_npz(tmp_path / "d.npz")
    assert (len(data.train), len(data.test)) == (24, 6)


def test_text_for_inputs(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.array(["a", "b"]), y=np.arange(2))
    with pytest.raises(InputError, match="x must hold numbers"):
        read_npz(tmp_path / "d.npz")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_folder(tmp_path, ending):
    for part, rows in (("train", slice(20)), ("t10k", slice(20, None))):
        for kind, array in (("images-idx3", IMAGES[rows]), ("labels-idx1", LABELS[rows])):
            head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
            bytes_ = head + array.tobytes()
            (tmp_path / f"{part}-{kind}-ubyte{ending}").write_bytes(
                gzip.compress(bytes_) if ending else bytes_
            )
    assert is_idx_folder(tmp_path)
    data = read_idx_folder(tmp_path)
    np.testing.assert_array_equal(data.train.inputs.array, IMAGES[:20])
    np.testing.assert_array_equal(data.test.labels, LABELS[20:])
    next(tmp_path.glob("t10k-labels*")).unlink()
    with pytest.raises(InputError, match="there is no t10k-labels-idx1-ubyte"):
        read_idx_folder(tmp_path)
