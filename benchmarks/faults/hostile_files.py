"""Files that are damaged, or made to do harm: variations on good ones.

A variation is a name and what it makes of a file's content, or of a place in a folder. Where
Python code could hide, it would make the file `PAYLOAD` if it ran.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import marshal
import os
import pathlib
import random
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Content = Callable[[bytes, random.Random], bytes]
PAYLOAD = "payload_ran"


def places(folder: pathlib.Path, name: str) -> Iterator[tuple[str, pathlib.Path]]:
    """Make what is no ordinary file, under a file's name, in a folder of its own each."""
    for kind in ("device", "pipe", "folder", "dangling", "loop", "empty"):
        path = folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "empty":
            path.touch()
        else:
            path.symlink_to("gone" if kind == "dangling" else name)
        yield kind, path


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Flip a few bits."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 40])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def overwritten(content: bytes, rng: random.Random) -> bytes:
    """Replace a few bytes in a row by what is large or negative in every format."""
    data, place = bytearray(content), rng.randrange(len(content))
    data[place : place + 8] = rng.choice([b"\xff" * 8, b"\x7f" + b"\xff" * 7, bytes(8)])
    return bytes(data)


def truncated(content: bytes, rng: random.Random) -> bytes:
    """Cut off the end."""
    return content[: rng.randrange(len(content))]


BINARY: Mapping[str, Content] = {
    "flipped": flipped,
    "overwritten": overwritten,
    "truncated": truncated,
    "longer": lambda content, rng: content + rng.randbytes(1000),
    "twice": lambda content, rng: content * 2,
    "noise": lambda content, rng: content[:16] + rng.randbytes(5000),
    "text": lambda content, rng: b"<html>404 Not Found</html>",
}


# --- JSON -----------------------------------------------------------------------------------------


def _changed(content: bytes, rng: random.Random) -> bytes:
    """Put a wrong value at some place of a document."""
    document = json.loads(content)
    wrong: Any = rng.choice(
        [None, "x", -1, 1e300, 10**30, True, [], {}, [[]], "ü" * 9999, 0.5, "NaN"]
    )
    places: list[tuple[Any, Any]] = []
    ahead = [document]
    while ahead:
        value = ahead.pop()
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            places.append((value, key))
            ahead += [item] if isinstance(item, (dict, list)) else []
    if not places:
        return json.dumps(wrong).encode()
    owner, key = rng.choice(places)
    owner[key] = wrong
    return json.dumps(document).encode()


def _removed(content: bytes, rng: random.Random) -> bytes:
    document = json.loads(content)
    if isinstance(document, dict) and document:
        del document[rng.choice(sorted(document))]
    return json.dumps(document).encode()


def _doubled(content: bytes, rng: random.Random) -> bytes:
    document = json.loads(content)
    if not isinstance(document, dict) or not document:
        return b'{"a": 1, "a": 2}'
    key = rng.choice(sorted(document))
    return b"{" + json.dumps(key).encode() + b": 1, " + content.strip()[1:]


def _nested(content: bytes, rng: random.Random) -> bytes:
    depth = rng.choice([150, 900, 5_000, 200_000])
    key = json.dumps(rng.choice(sorted(json.loads(content)) or ["a"])).encode()
    return b"{" + key + b": " + b"[" * depth + b"]" * depth + b"}"


def _constant(content: bytes, rng: random.Random) -> bytes:
    numbers = [b"0", b"1", b"2", b"0.5", b"10"]
    for number in rng.sample(numbers, len(numbers)):
        if b": " + number in content:
            word = rng.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000])
            return content.replace(b": " + number, b": " + word, 1)
    return b'{"a": NaN}'


JSON: Mapping[str, Content] = {
    "changed": _changed,
    "removed": _removed,
    "doubled": _doubled,
    "nested": _nested,
    "constant": _constant,
    "latin-1": lambda content, rng: content.replace(b'"', '"é'.encode("latin-1"), 1),
    "utf-16": lambda content, rng: content.decode().encode("utf-16"),
    "mark": lambda content, rng: b"\xef\xbb\xbf" + content,
    "null": lambda content, rng: content.replace(b" ", b"\0", 1) + b"\0",
    "another": lambda content, rng: rng.choice([b"[]", b"1", b'"x"', b"null", b"true", b"{}"]),
    "truncated": truncated,
    "flipped": flipped,
}


# --- archives -------------------------------------------------------------------------------------


def entries(content: bytes) -> dict[str, bytes]:
    """Unpack an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: Mapping[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    """Pack an archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stream.getvalue()


def array(values: Any, *, header: Mapping[str, Any] | None = None) -> bytes:
    """Write an array, or one whose header says something else than its data."""
    stream = io.BytesIO()
    if header is None:
        np.lib.format.write_array(stream, np.asarray(values), allow_pickle=True)
        return stream.getvalue()
    text = (repr(dict(header)) + " " * 64 + "\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64)


class _Payload:
    def __reduce__(self) -> Any:
        return (pathlib.Path.touch, (pathlib.Path(PAYLOAD),))


ARRAYS: Mapping[str, Callable[[], bytes]] = {
    "pickled": lambda: array(np.array([_Payload()], dtype=object)),
    "huge": lambda: array(None, header={"descr": "<f4", "fortran_order": False, "shape": (2**40,)}),
    "many": lambda: array(
        None, header={"descr": "<f4", "fortran_order": False, "shape": (0,) * 99}
    ),
    "negative": lambda: array(
        None, header={"descr": "<f4", "fortran_order": False, "shape": (-4,)}
    ),
    "expression": lambda: array(
        None, header={"descr": "<f4", "fortran_order": False, "shape": ("()." * 5,)}
    ),
    "complex": lambda: array(np.ones(8, np.complex64)),
    "boolean": lambda: array(np.ones(8, bool)),
    "text": lambda: array(np.array(["a"] * 8)),
    "structured": lambda: array(np.zeros(8, [("a", "f4"), ("b", "i4")])),
    "nan": lambda: array(np.full(8, np.nan, np.float32)),
    "empty": lambda: b"",
}


def _one_array_replaced(content: bytes, made: bytes, rng: random.Random) -> bytes:
    parts = entries(content)
    names = [name for name in parts if name.endswith(".npy")]
    parts[rng.choice(names) if names else "x.npy"] = made
    return packed(parts)


def _with_arrays() -> dict[str, Content]:
    def variation(make: Callable[[], bytes]) -> Content:
        return lambda content, rng: _one_array_replaced(content, make(), rng)

    return {name: variation(make) for name, make in ARRAYS.items()}


def _more_entries(content: bytes, rng: random.Random) -> bytes:
    """Make the list of entries very long: its last one again and again."""
    end = content.rindex(b"PK\x05\x06")
    (number,), (size, place) = (
        struct.unpack_from("<H", content, end + 10),
        struct.unpack_from("<LL", content, end + 12),
    )
    last = content[content.rindex(b"PK\x01\x02", place, end) : end]
    more = last * (1 + (10 << 20) // len(last))
    fields = struct.pack("<HHLL", number, number, size + len(more), place)
    return content[:end] + more + content[end : end + 8] + fields + content[end + 20 :]


@functools.cache
def _zeros(number: int, size: int) -> bytes:
    """Pack entries of zeros, deflated as far as that goes."""
    return packed(
        {f"b{each}.npy": bytes(size) for each in range(number)}, method=zipfile.ZIP_DEFLATED
    )


def _bomb(content: bytes, rng: random.Random) -> bytes:
    return _zeros(1, 400 << 20)


def _bombs(content: bytes, rng: random.Random) -> bytes:
    return _zeros(4, 100 << 20)


def _outside(content: bytes, rng: random.Random) -> bytes:
    return packed({**entries(content), rng.choice(["../x.npy", "/x.npy", "C:/x.npy"]): b"x"})


ARCHIVE: Mapping[str, Content] = {
    **BINARY,
    "outside": _outside,
    "bomb": _bomb,
    "bombs": _bombs,
    "entries": _more_entries,
}
NPZ: Mapping[str, Content] = {**BINARY, "outside": _outside, **_with_arrays()}


# --- descriptions of networks ---------------------------------------------------------------------


def _lambda() -> dict[str, Any]:
    code = compile(f"__import__('pathlib').Path({PAYLOAD!r}).touch()", "<payload>", "eval")
    text = base64.b64encode(marshal.dumps(code)).decode()
    inner = {"class_name": "__lambda__", "config": {"value": [text, None, None]}}
    return _layer("Lambda", {"name": "evil", "function": inner})


def _layer(name: str, config: Mapping[str, Any], module: str = "keras.layers") -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": dict(config), "registered_name": None}


def _layers(config: Any) -> list[dict[str, Any]]:
    return [each for each in config["config"]["layers"] if each["class_name"] != "InputLayer"]


def _rewritten(change: Callable[[Any, random.Random], Any]) -> Content:
    """Change the description in a `.keras` file."""

    def variation(content: bytes, rng: random.Random) -> bytes:
        parts = entries(content)
        config = json.loads(parts["config.json"])
        changed = change(config, rng)
        text = changed if isinstance(changed, bytes) else json.dumps(changed or config).encode()
        return packed({**parts, "config.json": text})

    return variation


def _wide(config: Any, rng: random.Random) -> None:
    for layer in _layers(config):
        for key in ("units", "filters"):
            if key in layer["config"]:
                layer["config"][key] = rng.choice([10**9, 10**7, 2**62, -1, 0, "8", 1.5, None])


def _long_kernel(config: Any, rng: random.Random) -> None:
    for layer in _layers(config):
        if "kernel_size" in layer["config"]:
            layer["config"]["kernel_size"] = rng.choice([[40_000, 40_000], [3], "33", [-1, 3]])


def _large_input(config: Any, rng: random.Random) -> None:
    config["config"]["layers"][0]["config"]["batch_shape"] = rng.choice(
        [[None, 10**6, 10**6, 1], [None, -1, 8, 1], [None], "x", [None, 8, 8, 10**9]]
    )


def _replaced(config: Any, rng: random.Random) -> None:
    layer = rng.choice(_layers(config))
    layer.update(
        rng.choice(
            [
                _lambda(),
                _layer("system", {"command": f"touch {PAYLOAD}"}, "os"),
                _layer("Path", {"0": PAYLOAD}, "pathlib"),
                _layer("TFSMLayer", {"filepath": "x", "name": "t"}),
                _layer("Unknown", {}, "my.module"),
                _layer("StringLookup", {"vocabulary": "/etc/passwd", "name": "s"}),
                {"class_name": "function", "module": "os", "config": "system"},
            ]
        )
    )


def _as_text(change: Content) -> Content:
    """Change the description as a text."""
    return _rewritten(lambda config, rng: change(json.dumps(config).encode(), rng))


CONFIGS: Mapping[str, Content] = {
    "wide": _rewritten(_wide),
    "kernel": _rewritten(_long_kernel),
    "input": _rewritten(_large_input),
    "replaced": _rewritten(_replaced),
    **{f"json {name}": _as_text(change) for name, change in JSON.items()},
}
