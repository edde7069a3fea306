import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, empty, and no data set anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWPRESS_DATA", raising=False)
    return tmp_path
