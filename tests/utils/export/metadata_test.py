import io
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.utils.export import devices
from utils.errors import InputError
from utils.export.data_facts import DataFacts
from utils.export.metadata import read_metadata, with_metadata
from utils.export.runner import TFLiteRunner

FACTS = DataFacts(
    labels=tuple(f"class {number}" for number in range(10)),
    mean=(127.5, 64.25),
    std=(63.75, 32.0),
    is_image=True,
)


@pytest.fixture(scope="module")
def content(shortcuts_file):
    return with_metadata(shortcuts_file, FACTS, name="net")


def test_what_is_written_is_read_back(content, shortcuts_file):
    assert read_metadata(content) == FACTS
    assert read_metadata(shortcuts_file) is None
    assert with_metadata(shortcuts_file, FACTS, name="net") == content
    assert read_metadata(with_metadata(content, FACTS, name="again")) == FACTS
    assert len(content) - len(shortcuts_file) < 1500


def test_the_file_runs_as_before(content, shortcuts_file):
    samples = devices.noise((8, 8, 2))
    both = [TFLiteRunner(each)(samples) for each in (shortcuts_file, content)]
    np.testing.assert_array_equal(*both)


def test_labels_are_in_an_archive_behind_the_model(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["labels.txt"] and archive.testzip() is None
        assert archive.read("labels.txt").decode().splitlines() == list(FACTS.labels)


def test_the_entry_is_a_flatbuffer_of_the_standard(content):
    """Read by hand: the identifier, and the texts at the places that the fields point to."""
    model = schema.Model.GetRootAs(content, 0)
    names = [model.Metadata(i).Name() for i in range(model.MetadataLength())]
    entry = model.Metadata(names.index(b"TFLITE_METADATA"))
    data = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert names.count(b"TFLITE_METADATA") == 1 and data[4:8] == b"M001"

    def number(at, kind="<u4"):
        return int(np.frombuffer(data, kind, 1, at)[0])

    root = number(0)
    table = root - number(root, "<i4")  # offsets of the fields
    name = root + number(table + 4, "<u2")  # field 0
    text = name + number(name)
    assert data[text + 4 : text + 4 + number(text)] == b"net"
    parser = root + number(table + 4 + 2 * 7, "<u2")  # field 7
    text = parser + number(parser)
    assert data[text + 4 : text + 4 + number(text)] == b"1.0.0"


def test_labels_of_another_number_are_left_out(shortcuts_file):
    few = DataFacts(labels=("a", "b"), mean=(0.5,), std=(2.0,))
    found = read_metadata(with_metadata(shortcuts_file, few, name="net"))
    assert found == DataFacts(mean=(0.5,), std=(2.0,))
    assert not DataFacts() and few


def test_damaged_metadata_are_refused(content):
    lost = content[: content.rindex(b"PK\x03\x04")]  # without the archive
    with pytest.raises(InputError, match="the file's metadata are damaged"):
        read_metadata(lost)
    start = content.index(b"M001") - 4
    other = content[: start + 4] + b"M002" + content[start + 8 :]
    with pytest.raises(InputError, match=r"of another kind: b'M002'"):
        read_metadata(other)
    for value in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"):
        wild = content[:start] + value + content[start + 4 :]
        with pytest.raises(InputError, match="the file's metadata are damaged"):
            read_metadata(wild)
