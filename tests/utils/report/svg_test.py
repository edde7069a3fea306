import xml.etree.ElementTree as ElementTree

from utils.report.svg import FIRST, TEXT, picture, shortened


def drawn(identity="one", about="what it shows"):
    def fill(figure):
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=FIRST)
        axes.set_xlabel("a < b $x$", color=TEXT)

    return picture(identity, about, 2.0, fill)


def test_colors_are_the_pages_and_text_stays_text():
    svg = drawn()
    root = ElementTree.fromstring(svg)
    assert "a < b $x$" in [
        element.text for element in root.iter("{http://www.w3.org/2000/svg}text")
    ]
    assert "var(--first)" in svg
    assert "currentColor" in svg
    assert "#0102" not in svg


def test_what_it_shows_is_said_and_escaped():
    root = ElementTree.fromstring(drawn(about='<b> & "c"'))
    assert root.attrib["aria-label"] == '<b> & "c"'
    assert root.find("{http://www.w3.org/2000/svg}title").text == '<b> & "c"'


def test_two_pictures_share_no_ids():
    ids = [
        {e.attrib["id"] for e in ElementTree.fromstring(drawn(name)).iter() if "id" in e.attrib}
        for name in ("one", "two")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_short_names_stay_and_long_ones_keep_both_ends():
    assert shortened("conv1") == "conv1"
    assert shortened("a" * 40 + "z") == "a" * 10 + "…" + "a" * 10 + "z"
