"""The packed file, `.fpq`: a whole network whose kernels have the bits that they need.

    32 bytes   what `_PREAMBLE` says: magic, version, sizes
    header     JSON, deflated (zlib): how each array is stored, and the network's graph
    payload    the arrays one behind the other, see `utils.quantization.coding`
    4 bytes    CRC-32 of everything before

Numbers are little-endian. Files may come from anywhere: sizes are held against the file's own,
and every coding against the graph, before memory is taken for what they promise; no code of a
file's runs (see `utils.graph.description`). The page docs/packed_files.md says enough to write
another reader.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import utils.quantization.activation  # noqa: F401  registers a layer that files may hold
from utils.archives import MAX_ARCHIVE_BYTES
from utils.atomic import atomic_path
from utils.errors import InputError
from utils.graph.description import Declared, describe, rebuild
from utils.graph.encoding import malformed
from utils.graph.ir import Graph
from utils.graph.keras_io import from_keras, to_keras
from utils.json_reader import parse_json
from utils.quantization.bit_packing import MAX_WIDTH
from utils.quantization.coding import CODEBOOK, LEVELS, RAW, Coding, decode, encode, filled
from utils.quantization.slicing import Slicing
from utils.regular_file import read_regular

if TYPE_CHECKING:
    import keras

MAGIC = b"\x89FPQ\r\n\x1a\n"
VERSION = 1
MAX_HEADER_BYTES = 16 << 20
MAX_LEVEL = 1 << 15

# Magic, version, bytes of the header as stored, as JSON, zero, bytes of the payload.
_PREAMBLE = struct.Struct("<8sIIIIQ")
_CHECKSUM = struct.Struct("<I")
_SCALES = ("float32", "float64")

_Path = str | os.PathLike[str]


def save_packed(model: keras.Model, path: _Path) -> None:
    """Write a network as a packed file, whole or not at all.

    Args:
        model: any built Keras model, quantized or not. The code of a Lambda is written too, but
            `load_packed` reads it only where that is allowed.
        path: the file.

    Raises:
        InputError: if the path cannot be written, or the network has no graph, see `from_keras`.
    """
    content = pack(from_keras(model, allow_unsafe=True))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def load_packed(path: _Path, *, allow_unsafe: bool = False) -> keras.Model:
    """Load a network from a packed file.

    Args:
        path: the file.
        allow_unsafe: also admit layers that run arbitrary Python code. Only for files you trust.

    Returns:
        An uncompiled Keras model with the very weights that were saved.

    Raises:
        InputError: if the file is missing, damaged, or describes what Keras would not build.
    """
    content = read_regular(path, MAX_ARCHIVE_BYTES)
    return to_keras(unpack(content, name=str(path), allow_unsafe=allow_unsafe))


def pack(graph: Graph) -> bytes:
    """Write a graph as the content of a packed file; equal graphs give equal bytes.

    Raises:
        InputError: if an attr cannot be described in JSON, or there is too much of it.
    """
    description, arrays = describe(graph)
    coded = {key: encode(array) for key, array in arrays.items()}
    tensors = [{"array": key, **_written(coding)} for key, (coding, _) in coded.items()]
    text = json.dumps(
        {"tensors": tensors, "graph": description}, allow_nan=False, separators=(",", ":")
    ).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise InputError(
            f"the network {graph.name!r} needs {len(text):,} bytes to be described, at most "
            f"{MAX_HEADER_BYTES:,} are written. Move long lists in layers' configs to weights."
        )
    header = zlib.compress(text, 9)
    payload = b"".join(content for _, content in coded.values())
    preamble = _PREAMBLE.pack(MAGIC, VERSION, len(header), len(text), 0, len(payload))
    parts = [preamble, header, bytes(filled(len(header)) - len(header)), payload]
    content = b"".join(parts)
    return content + _CHECKSUM.pack(zlib.crc32(content))


def unpack(content: bytes, *, name: str = "the .fpq file", allow_unsafe: bool = False) -> Graph:
    """Read and check the content of a packed file.

    Args:
        content: all of it.
        name: what it is called in messages.
        allow_unsafe: see `load_packed`.

    Returns:
        The graph; `to_keras` builds it.

    Raises:
        InputError: if it is no packed file, of another version, damaged, or inconsistent.
    """
    try:
        header, payload = _split(content)
        tensors = _tensors(header, len(payload))
        return rebuild(
            header.get("graph"),
            lambda declared: _arrays(tensors, payload, declared),
            where="its payload",
            allow_unsafe=allow_unsafe,
        )
    except (InputError, ValueError) as error:
        raise InputError(f"{name}: {error}") from error


def codings(content: bytes) -> dict[str, Coding]:
    """Tell how a packed file stores each array, by the array's key (`<layer>/<number>`).

    Raises:
        InputError: see `unpack`.
    """
    header, payload = _split(content)
    return _tensors(header, len(payload))


def payload_bytes(content: bytes) -> int:
    """Give the bytes of a packed file's arrays: all but header, preamble and checksum.

    Raises:
        InputError: see `unpack`.
    """
    return len(_split(content)[1])


def _split(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Take a file apart: header and payload, sizes and checksum proven."""
    if content[: len(MAGIC)] != MAGIC:
        raise InputError("is no packed file (.fpq): it does not begin like one.")
    least = _PREAMBLE.size + _CHECKSUM.size
    if len(content) < least:
        raise InputError(_damaged(f"it has {len(content)} bytes, at least {least} are needed"))
    _, version, stored, unpacked, zero, payload = _PREAMBLE.unpack_from(content)
    if version != VERSION or zero != 0:
        raise InputError(
            f"is of version {version}, this release reads version {VERSION}. Write it anew with "
            "this release, or read it with a newer one."
        )
    if len(content) != least + filled(stored) + payload:
        raise InputError(
            _damaged(
                f"it has {len(content):,} bytes, {least + filled(stored) + payload:,} by its "
                "first line"
            )
        )
    end = len(content) - _CHECKSUM.size
    view = memoryview(content)
    if zlib.crc32(view[:end]) != _CHECKSUM.unpack_from(content, end)[0]:
        raise InputError(_damaged("its checksum is wrong"))
    header = _inflated(view[_PREAMBLE.size : _PREAMBLE.size + stored], unpacked)
    return header, view[end - payload : end]


def _inflated(stored: memoryview, size: int) -> dict[str, Any]:
    """Unpack the header into no more memory than is allowed, and parse it."""
    if size > MAX_HEADER_BYTES:
        raise InputError(
            f"its header has {size:,} bytes, at most {MAX_HEADER_BYTES:,} are read. Refused before "
            "it was read; do not trust this file."
        )
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(stored, size + 1)
    except zlib.error as error:
        raise InputError(_damaged(f"its header cannot be unpacked ({error})")) from error
    if len(text) != size or not inflater.eof or inflater.unused_data:
        raise InputError(_damaged("its header has another size than its first line says"))
    try:
        header = parse_json(text)
    except ValueError as error:
        raise InputError(_damaged(f"its header is no JSON ({error})")) from error
    if not isinstance(header, dict):
        raise malformed("its header", "an object", header)
    return header


def _damaged(reason: str) -> str:
    return f"is damaged: {reason}. Copy or write it anew."


def _tensors(header: Mapping[str, Any], size: int) -> dict[str, Coding]:
    """Read how the arrays are stored, and hold the sizes against the payload's."""
    entries = header.get("tensors")
    if not isinstance(entries, list):
        raise malformed("tensors", "a list", entries)
    found: dict[str, Coding] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("array"), str):
            raise malformed("tensors", "objects with an `array`", entry)
        key = entry["array"]
        if key in found:
            raise InputError(f"the array {key!r} is stored twice.")
        found[key] = _Reading(entry, f"array {key!r}").coding()
    stored = sum(coding.num_bytes for coding in found.values())
    if stored != size:
        raise InputError(f"its arrays take {stored:,} bytes, its payload has {size:,}.")
    taken = sum(coding.size * np.dtype(coding.dtype).itemsize for coding in found.values())
    if taken > MAX_ARCHIVE_BYTES:
        raise InputError(
            f"its arrays unpack to {taken:,} bytes, at most {MAX_ARCHIVE_BYTES:,} are read."
        )
    return found


def _arrays(
    tensors: Mapping[str, Coding], payload: memoryview, declared: Declared
) -> dict[str, np.ndarray]:
    """Decode the arrays if they are those that the graph declares."""
    for key in sorted(set(tensors) ^ set(declared)):
        raise InputError(f"the arrays and the graph disagree; the first difference is {key!r}.")
    found, start = {}, 0
    for key, coding in tensors.items():
        if (coding.shape, np.dtype(coding.dtype)) != declared[key]:
            shape, dtype = declared[key]
            raise InputError(
                f"array {key!r} is {coding.dtype}{list(coding.shape)}, the graph says "
                f"{dtype}{list(shape)}."
            )
        try:
            found[key] = decode(coding, payload[start : start + coding.num_bytes])
        except ValueError as error:
            raise InputError(f"array {key!r}: {error}.") from error
        start += coding.num_bytes
    return found


def _written(coding: Coding) -> dict[str, Any]:
    """Describe a coding in JSON; what does not apply is left out."""
    entry: dict[str, Any] = {"shape": list(coding.shape), "coding": coding.kind}
    if coding.kind == RAW:
        entry["dtype"] = coding.dtype
    else:
        where = coding.slicing
        entry |= {"bucket": where.bucket} if where.bucket else {"axes": list(where.axes)}
        entry["bits"] = coding.width
    if coding.kind == LEVELS:
        entry |= {"levels": list(coding.levels), "scales": coding.scale_dtype}
        entry |= {"offsets": True} if coding.offsets else {}
    if coding.kind == CODEBOOK:
        entry["entries"] = coding.entries
    if coding.nonzeros is not None:
        entry["nonzeros"] = coding.nonzeros
    return entry


class _Reading:
    """Reads one entry of `tensors`, within bounds that make every later size harmless."""

    def __init__(self, entry: Mapping[str, Any], where: str) -> None:
        self._entry = entry
        self._where = where

    def coding(self) -> Coding:
        """Read it.

        Raises:
            InputError: names the array, what is wrong and what was expected.
        """
        shape = self._integers("shape", 0, MAX_ARCHIVE_BYTES, most=16)
        if math.prod(shape) > MAX_ARCHIVE_BYTES:
            raise self._error("shape", f"of at most {MAX_ARCHIVE_BYTES:,} entries")
        size = math.prod(shape)
        kind = self._choice("coding", (RAW, LEVELS, CODEBOOK))
        coding = Coding(shape=shape, kind=kind)
        if "nonzeros" in self._entry:
            coding = dataclasses.replace(coding, nonzeros=self._integer("nonzeros", 0, size))
        if kind == RAW:
            return dataclasses.replace(coding, dtype=self._dtype())
        width = self._integer("bits", 1, MAX_WIDTH)
        coding = dataclasses.replace(coding, slicing=self._slicing(len(shape)), width=width)
        if kind == CODEBOOK:
            entries = self._integer("entries", 1, 1 << width)
            return dataclasses.replace(coding, entries=entries)
        levels = self._integers("levels", -MAX_LEVEL, MAX_LEVEL, most=1 << width)
        if not levels:
            raise self._error("levels", "a list with at least one integer")
        scales = self._choice("scales", _SCALES)
        offsets = self._entry.get("offsets", False)
        if type(offsets) is not bool:
            raise self._error("offsets", "true or false")
        return dataclasses.replace(coding, levels=levels, scale_dtype=scales, offsets=offsets)

    def _slicing(self, rank: int) -> Slicing:
        if ("axes" in self._entry) == ("bucket" in self._entry):
            raise InputError(f"{self._where}: either `axes` or `bucket` must be given.")
        if "bucket" in self._entry:
            return Slicing(bucket=self._integer("bucket", 1, MAX_ARCHIVE_BYTES))
        axes = self._integers("axes", 0, rank - 1, most=rank)
        if list(axes) != sorted(set(axes)):
            raise self._error("axes", "ascending")
        return Slicing(axes=axes)

    def _dtype(self) -> str:
        dtype = self._entry.get("dtype")
        known = ("bool", "float16", "float32", "float64")
        integers = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
        if dtype not in (*known, *integers):
            raise self._error("dtype", f"one of {', '.join((*known, *integers))}")
        return str(dtype)

    def _choice(self, key: str, allowed: Sequence[str]) -> str:
        value = self._entry.get(key)
        if not isinstance(value, str) or value not in allowed:
            raise self._error(key, f"one of {', '.join(allowed)}")
        return value

    def _integer(self, key: str, low: int, high: int) -> int:
        value = self._entry.get(key)
        if type(value) is not int or not low <= value <= high:
            raise self._error(key, f"an integer from {low} to {high:,}")
        return value

    def _integers(self, key: str, low: int, high: int, *, most: int) -> tuple[int, ...]:
        values = self._entry.get(key)
        if (
            not isinstance(values, list)
            or len(values) > most
            or not all(type(value) is int and low <= value <= high for value in values)
        ):
            raise self._error(key, f"a list of at most {most} integers from {low} to {high:,}")
        return tuple(values)

    def _error(self, key: str, allowed: str) -> InputError:
        return malformed(f"{self._where}: {key}", allowed, self._entry.get(key))
