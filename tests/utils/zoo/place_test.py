import pathlib

import pytest

from utils.errors import InputError
from utils.zoo.place import Place


def test_the_documents_folder():
    place = Place(
        zoo=pathlib.Path("zoo"), domain="vision", task="classification", model="resnet50v1b"
    )
    place.check()
    assert place.folder == pathlib.Path("zoo/vision/classification/resnet50v1b")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "x" * 101])
def test_names_that_lead_elsewhere_are_refused(name):
    place = Place(zoo=pathlib.Path("zoo"), domain="vision", task=name, model="net")
    with pytest.raises(InputError, match="`task` must be a name of letters"):
        place.check()
