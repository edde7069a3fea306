import pytest

from utils.errors import InputError
from utils.frontends.shapes import parse_shapes, with_shapes
from utils.frontends.source import SourceInput, SourceNetwork

NETWORK = SourceNetwork(
    "net", (SourceInput("x", (None, 3, None)), SourceInput("s", (2, None))), (), (), {}
)


def shapes(given):
    made = with_shapes(NETWORK, given)
    return [source.shape for source in made.inputs], made.batch


def test_all_forms():
    assert shapes(None) == ([(None, 3, None), (2, None)], None)
    assert shapes("1,3,8") == ([(1, 3, 8), (2, None)], 1)
    assert shapes("-1x3x8") == ([(None, 3, 8), (2, None)], None)
    assert shapes("s=2,5;x=4,3,8") == ([(4, 3, 8), (2, 5)], 4)
    assert shapes((None, 3, 8)) == ([(None, 3, 8), (2, None)], None)
    assert shapes({"s": (2, 1)}) == ([(None, 3, None), (2, 1)], None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("1,3,a", "no numbers"),
        ("1,3,0", "no numbers"),
        ("y=1,3,8", "the inputs are: x, s"),
        ("1,3", "does not fit"),
        ("1,4,8", "does not fit"),
        ("x=1,4,8", "does not fit"),
    ],
)
def test_what_does_not_fit_is_said(given, words):
    with pytest.raises(InputError, match=words):
        shapes(given)


def test_the_text_is_read():
    assert parse_shapes("a=1,2;b=-1") == {"a": (1, 2), "b": (None,)}
