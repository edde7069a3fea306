from utils.errors import InputError
from utils.export.errors import ExportError


def test_carries_the_results():
    error = ExportError("too far", ["a result"])
    assert isinstance(error, InputError)
    assert str(error) == "too far"
    assert error.results == ("a result",)
    assert ExportError("no file").results == ()
