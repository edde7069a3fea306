"""Labels and normalization inside a `.tflite` file: TensorFlow Lite's metadata.

A file may carry an entry `TFLITE_METADATA`: a flatbuffer of its own, by the schema
`metadata_schema.fbs`, which says how inputs are normalized and which file holds the labels of an
output. That file is in a ZIP archive behind the model: archives are found from the end, models
from the beginning. Tools for Android and the task libraries read both.

No package of this schema is needed: the tables that are written here are listed below by the
numbers of their fields.

Reference: "TensorFlow Lite Metadata", schema version 1.1.0, file identifier `M001`.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import encode, packer
from flatbuffers.number_types import Int8Flags
from flatbuffers.table import Table

from utils.errors import InputError
from utils.export.data_facts import DataFacts
from utils.export.flatbuffer import FileGraph, read_graph, read_model, write_model

ENTRY = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
_IDENTIFIER = b"M001"
_PARSER_VERSION = "1.0.0"  # that of the oldest parser that knows all that is written

# Fields by number, (field, number of fields of the table where it is written).
_MODEL_NAME, _MODEL_SUBGRAPHS, _MODEL_PARSER, _MODEL_FIELDS = 0, 3, 7, 8
_GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_FIELDS = 2, 3, 7
_TENSOR_NAME, _TENSOR_CONTENT, _TENSOR_UNITS, _TENSOR_FILES, _TENSOR_FIELDS = 0, 3, 4, 6, 7
_FILE_NAME, _FILE_DESCRIPTION, _FILE_TYPE, _FILE_FIELDS = 0, 1, 2, 4
_UNION_TYPE, _UNION_VALUE = 0, 1  # of ProcessUnit and Content
_UNIT_FIELDS, _CONTENT_FIELDS = 2, 3
_MEAN, _STD = 0, 1  # of NormalizationOptions
_COLOR_SPACE = 0  # of ImageProperties
_NORMALIZATION_OPTIONS, _IMAGE_PROPERTIES = 1, 2  # members of their unions
_AXIS_LABELS = 2  # of AssociatedFileType: one label for each index of the last axis
_COLOR_SPACES = {3: 1, 1: 2}  # channels -> RGB, GRAYSCALE


def with_metadata(content: bytes, facts: DataFacts, *, name: str) -> bytes:
    """Put facts into a file.

    Labels belong to the output of a network that has one, with as many values; normalization to
    the input of one that has one. What has no place is left out.

    Args:
        content: of a `.tflite` file.
        facts: of the data.
        name: of the network.

    Returns:
        The file, with the labels in an archive behind it. Equal arguments give equal bytes.
    """
    model, graph = read_model(content), read_graph(content)
    labels = facts.labels if _fits(graph, facts.labels) else ()
    found = _written(graph, dataclasses.replace(facts, labels=labels), name)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(found, np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = ENTRY.encode(), len(model.buffers) - 1
    others = [each for each in model.metadata or () if each.name != ENTRY.encode()]
    model.metadata = [*others, entry]
    return _with_labels(write_model(model), labels)


def _fits(graph: FileGraph, labels: Sequence[str]) -> bool:
    shapes = [graph.tensors[number].shape for number in graph.output_order]
    return len(shapes) == 1 and len(shapes[0]) > 0 and shapes[0][-1] == len(labels)


def _with_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """Append an archive, uncompressed, as the standard wants it."""
    if not labels:
        return content
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        entry = zipfile.ZipInfo(LABELS_FILE)  # of 1980: equal files are to be equal
        archive.writestr(entry, "".join(f"{label}\n" for label in labels))
    return stream.getvalue()


def _written(graph: FileGraph, facts: DataFacts, name: str) -> bytes:
    """Write the metadata's own flatbuffer."""
    builder = flatbuffers.Builder(1024)
    inputs = [_input(builder, graph, number, facts) for number in graph.input_order]
    outputs = [_output(builder, graph, number, facts) for number in graph.output_order]
    lists = {_GRAPH_INPUTS: _vector(builder, inputs), _GRAPH_OUTPUTS: _vector(builder, outputs)}
    subgraphs = _vector(builder, [_table(builder, _GRAPH_FIELDS, lists)])
    root = _table(
        builder,
        _MODEL_FIELDS,
        {
            _MODEL_NAME: builder.CreateString(name),
            _MODEL_SUBGRAPHS: subgraphs,
            _MODEL_PARSER: builder.CreateString(_PARSER_VERSION),
        },
    )
    builder.Finish(root, _IDENTIFIER)
    return bytes(builder.Output())


def _input(builder: flatbuffers.Builder, graph: FileGraph, number: int, facts: DataFacts) -> int:
    tensor = graph.tensors[number]
    fields = {_TENSOR_NAME: builder.CreateString(_name(graph.inputs, number, tensor.name))}
    if len(graph.input_order) == 1:
        if facts.is_image and len(tensor.shape) == 4:
            space = _COLOR_SPACES.get(tensor.shape[3], 0)
            image = _table(builder, 2, {}, {_COLOR_SPACE: space})
            fields[_TENSOR_CONTENT] = _union(builder, _CONTENT_FIELDS, _IMAGE_PROPERTIES, image)
        if facts.mean:
            floats = {_MEAN: _floats(builder, facts.mean), _STD: _floats(builder, facts.std)}
            options = _table(builder, 2, floats)
            unit = _union(builder, _UNIT_FIELDS, _NORMALIZATION_OPTIONS, options)
            fields[_TENSOR_UNITS] = _vector(builder, [unit])
    return _table(builder, _TENSOR_FIELDS, fields)


def _output(builder: flatbuffers.Builder, graph: FileGraph, number: int, facts: DataFacts) -> int:
    name = _name(graph.outputs, number, graph.tensors[number].name)
    fields = {_TENSOR_NAME: builder.CreateString(name)}
    if facts.labels:
        texts = {
            _FILE_NAME: builder.CreateString(LABELS_FILE),
            _FILE_DESCRIPTION: builder.CreateString("Names of the classes."),
        }
        file = _table(builder, _FILE_FIELDS, texts, {_FILE_TYPE: _AXIS_LABELS})
        fields[_TENSOR_FILES] = _vector(builder, [file])
    return _table(builder, _TENSOR_FIELDS, fields)


def _name(names: dict[str, int], number: int, otherwise: str) -> str:
    return next((name for name, each in names.items() if each == number), otherwise)


def _table(
    builder: flatbuffers.Builder,
    num_fields: int,
    offsets: dict[int, int],
    numbers: dict[int, int] | None = None,
) -> int:
    """Write a table of references and small numbers, by field."""
    builder.StartObject(num_fields)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, value in (numbers or {}).items():
        builder.PrependInt8Slot(field, value, 0)
    end: int = builder.EndObject()
    return end


def _union(builder: flatbuffers.Builder, num_fields: int, member: int, value: int) -> int:
    return _table(builder, num_fields, {_UNION_VALUE: value}, {_UNION_TYPE: member})


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    end: int = builder.EndVector()
    return end


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    end: int = builder.CreateNumpyVector(np.asarray(values, np.float32))
    return end


def read_metadata(content: bytes) -> DataFacts | None:
    """Read the facts of a file.

    Args:
        content: of a `.tflite` file that the interpreter accepts, by any writer.

    Returns:
        The facts of its first input and output; None without metadata.

    Raises:
        InputError: if the metadata or the archive is damaged.
    """
    model = read_model(content)
    entry = next((each for each in model.metadata or () if each.name == ENTRY.encode()), None)
    if entry is None:
        return None
    data = bytes(np.asarray(model.buffers[entry.buffer].data, np.uint8))
    if data[4:8] != _IDENTIFIER:
        raise InputError(f"the file's metadata are of another kind: {data[4:8]!r}.")
    try:
        return _facts(data, content)
    except (IndexError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"the file's metadata are damaged: {error}.") from error
    except Exception as error:  # flatbuffers unpacks with struct, which has an error of its own
        raise InputError(f"the file's metadata are damaged: {type(error).__name__}.") from error


def _facts(data: bytes, content: bytes) -> DataFacts:
    root = Table(bytearray(data), encode.Get(packer.uoffset, data, 0))
    (graph, *_) = _tables(root, _MODEL_SUBGRAPHS)
    (taken, *_), (given, *_) = _tables(graph, _GRAPH_INPUTS), _tables(graph, _GRAPH_OUTPUTS)
    units = [
        table
        for unit in _tables(taken, _TENSOR_UNITS)
        for table in _members(unit, _NORMALIZATION_OPTIONS)
    ]
    kinds = _follow(taken, _TENSOR_CONTENT)
    image = [table for each in kinds for table in _members(each, _IMAGE_PROPERTIES)]
    files = [
        _text(file, _FILE_NAME)
        for file in _tables(given, _TENSOR_FILES)
        if _number(file, _FILE_TYPE) == _AXIS_LABELS
    ]
    labels = _member_of_archive(content, files[0]) if files else ""
    return DataFacts(
        labels=tuple(labels.splitlines()),
        mean=_numbers(units[0], _MEAN) if units else (),
        std=_numbers(units[0], _STD) if units else (),
        is_image=bool(image),
    )


def _member_of_archive(content: bytes, name: str) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.getinfo(name).file_size > len(content):  # a bomb
            raise ValueError(f"{name} is larger than its file")
        return archive.read(name).decode("utf-8")


def _place(table: Table, field: int) -> int:
    """Find a field; 0 where it is not written."""
    offset: int = table.Offset(4 + 2 * field)
    return table.Pos + offset if offset else 0


def _items(table: Table, field: int, size: int, read: Callable[[int], Any]) -> Iterator[Any]:
    """Read a list whose entries take `size` bytes."""
    if _place(table, field):
        offset = _place(table, field) - table.Pos
        start = table.Vector(offset)
        for number in range(table.VectorLen(offset)):
            yield read(start + size * number)


def _tables(table: Table, field: int) -> list[Table]:
    return list(_items(table, field, 4, lambda at: Table(table.Bytes, table.Indirect(at))))


def _numbers(table: Table, field: int) -> tuple[float, ...]:
    get = packer.float32
    return tuple(
        float(value)
        for value in _items(table, field, 4, lambda at: encode.Get(get, table.Bytes, at))
    )


def _follow(table: Table, field: int) -> list[Table]:
    """Give the table that a field refers to, in a list; an empty one without."""
    place = _place(table, field)
    return [Table(table.Bytes, table.Indirect(place))] if place else []


def _members(table: Table, member: int) -> list[Table]:
    """Give a union's value where it is that member."""
    return _follow(table, _UNION_VALUE) if _number(table, _UNION_TYPE) == member else []


def _number(table: Table, field: int) -> int:
    place = _place(table, field)
    return int(table.Get(Int8Flags, place)) if place else 0


def _text(table: Table, field: int) -> str:
    place = _place(table, field)
    text: bytes = table.String(place) if place else b""
    return text.decode("utf-8")
