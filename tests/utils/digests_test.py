"""Digests tell contents apart, not places."""

import numpy as np
import pytest

from utils import digests
from utils.digests import arrays_digest, code_digest, path_digest


def test_arrays():
    zeros = np.zeros((3, 2), np.float32)
    found = arrays_digest([zeros, zeros])
    assert len(found) == 16
    assert found == arrays_digest([zeros.copy(), zeros])
    for other in ([zeros], [zeros, zeros.T], [zeros, zeros.astype(int)], [zeros, zeros + 1]):
        assert arrays_digest(other) != found
    assert arrays_digest([np.array(5)]) != arrays_digest([np.array(6)])


def test_large_arrays_by_rows_at_equal_distances(monkeypatch):
    monkeypatch.setattr(digests, "_WHOLE_BYTES", 64)
    large = np.zeros((100, 4))
    changed = large.copy()
    changed[0] = 1
    assert arrays_digest([large]) != arrays_digest([changed])


@pytest.mark.parametrize("whole", [True, False])
def test_folders(tmp_path, monkeypatch, whole):
    if not whole:
        monkeypatch.setattr(digests, "_WHOLE_BYTES", 0)
    for folder in ("one", "two"):
        (tmp_path / folder / "inner").mkdir(parents=True)
        (tmp_path / folder / "inner" / "a").write_bytes(b"abc")
        (tmp_path / folder / "b").write_bytes(b"")
    found = path_digest(tmp_path / "one")
    assert path_digest(tmp_path / "two") == found
    (tmp_path / "two" / "inner" / "a").write_bytes(b"abd")
    assert path_digest(tmp_path / "two") != found
    assert path_digest(tmp_path / "one" / "b") != path_digest(tmp_path / "one" / "inner" / "a")


def test_code_by_what_it_does(tmp_path):
    def digest(text):
        (tmp_path / "a.py").write_text(text)
        return code_digest(tmp_path / "a.py")

    found = digest("x = 1\n")
    assert digest("# why\n\nx =  1  # so\n") == found
    assert digest("x = 2\n") != found
    assert digest("x = (") != digest("x = ((")
