import pytest

pytest.importorskip("latex2mathml")
pytest.importorskip("mkdocs")

from tools.docs import site


def formula(latex, tag):
    ends = ("\\(", "\\)") if tag == "span" else ("\\[", "\\]")
    return f'<{tag} class="arithmatex">{ends[0]}{latex}{ends[1]}</{tag}>'


def test_formulas_become_mathml():
    page = site.on_page_content(f"<p>a {formula('X_i', 'span')} b</p>")
    assert page.startswith(
        '<p>a <math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">'
    )
    assert "<msub><mi>X</mi><mi>i</mi></msub>" in page
    assert page.endswith("</math> b</p>")
    assert 'display="block"' in site.on_page_content(formula("\n\\sum_i X_i\n", "div"))


def test_what_html_escaped_is_read_as_it_was_written():
    assert "&#x0003C;" in site.on_page_content(formula("a &lt; b", "span"))


def test_pages_without_formulas_stay_as_they_are():
    assert site.on_page_content("<p>$5 \\(not marked\\)</p>") == "<p>$5 \\(not marked\\)</p>"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "LICENSE").write_text("Do <what> you like.\n")
    return tmp_path


def test_links_lead_to_the_pages(checkout):
    (checkout / "CHANGELOG.md").write_text(
        "[a](docs/export.md#flags) [b](benchmarks/results.md) [c](https://x.org) [d](LICENSE)\n"
    )
    assert site.taken_in("CHANGELOG.md") == (
        "[a](export.md#flags) [b](results.md) [c](https://x.org) [d](licence.md)\n"
    )


def test_links_of_pages_lead_there_too(checkout):
    assert site.on_page_markdown("[a](../benchmarks/results.md#x) [b](export.md) [c](#y)") == (
        "[a](results.md#x) [b](export.md) [c](#y)"
    )


def test_a_text_is_shown_as_it_is(checkout):
    assert site.taken_in("LICENSE") == "# Licence\n\n```\nDo <what> you like.\n\n```\n"
