import xml.etree.ElementTree as ElementTree

import pytest

from tests.utils.report import samples
from tools.docs import pictures
from utils.errors import InputError
from utils.report.writing import save_report


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(pictures.shutil, "which", lambda name: None)  # no browser
    save_report(samples.full_report(), tmp_path / "run")
    return tmp_path / "images"


def test_every_named_plot_becomes_a_file(images, capsys):
    assert pictures.main([f"--run_dir={images.parent / 'run'}"]) == 0
    assert {path.stem for path in images.iterdir()} == set(pictures.NAMES.values())
    for path in images.iterdir():
        text = path.read_text("utf-8")
        ElementTree.fromstring(text)
        assert "var(" not in text
        assert "background:#fff" in text
    assert "no picture of the report" in capsys.readouterr().err


def test_colors_are_those_of_the_light_page():
    style = ":root { --first: #123456; } @media dark { --first: #ffffff; }"
    assert '"#123456"' in pictures.light('<svg a="var(--first)"/>', style)
    with pytest.raises(InputError, match="no color named 'other'"):
        pictures.light('<svg a="var(--other)"/>', style)


def test_no_finished_run(tmp_path, capsys):
    assert pictures.main([f"--run_dir={tmp_path}"]) == 2
    assert "must be the folder of a finished run" in capsys.readouterr().err


def test_every_picture_has_a_page():
    pages = [*pictures.ROOT.glob("*.md"), *(pictures.ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    for path in (pictures.ROOT / "docs" / "images").iterdir():
        assert f"images/{path.name})" in text


def test_only_the_pictures_asked_for_are_made(images, capsys):
    assert pictures.main([f"--run_dir={images.parent / 'run'}", "--only=search"]) == 0
    assert [path.name for path in images.iterdir()] == ["search.svg"]
    assert "no picture of the report" not in capsys.readouterr().err


def test_a_picture_that_there_is_not(capsys):
    assert pictures.main(["--only=searches"]) == 2
    assert "Received: searches." in capsys.readouterr().err
