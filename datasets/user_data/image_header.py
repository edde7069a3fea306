"""The size of an image from the first bytes of its file: PNG, JPEG, GIF and BMP.

No pixel is decoded, so a file that claims a billion of them takes no memory.

References: W3C, "Portable Network Graphics"; ITU-T T.81 (JPEG), annex B; CompuServe, "GIF 89a".
"""

import struct
from pathlib import Path
from typing import IO

from utils.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
"""Endings of the files that can be decoded."""

MAX_PIXELS = 100_000_000
"""Pixels of the largest image that is accepted; decoded, it takes 300 MB."""

# Start-of-frame markers of JPEG; 0xC4, 0xC8 and 0xCC are other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a segment


def check_image(path: Path) -> None:
    """Refuse a file that is no image, or one of more than `MAX_PIXELS`.

    Raises:
        InputError: names the file.
    """
    try:
        with path.open("rb") as stream:
            width, height = image_size(stream)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}. Mend or remove the file.") from error
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: {width} x {height} pixels are more than {MAX_PIXELS:,}. Make the image "
            "smaller, or remove it."
        )


def image_size(stream: IO[bytes]) -> tuple[int, int]:
    """Read the width and the height of an image.

    Args:
        stream: the file, at its beginning.

    Returns:
        (width, height), both at least 1.

    Raises:
        ValueError: if it is no image of a known kind, or ends before its size.
    """
    head = stream.read(26)
    if not head:
        raise ValueError("the file is empty")
    try:
        width, height = _size(head, stream)
    except struct.error as error:
        raise ValueError("the image ends before its size: the file is truncated") from error
    if width < 1 or height < 1:
        raise ValueError(f"an image of {width} x {height} pixels cannot be")
    return width, height


def _size(head: bytes, stream: IO[bytes]) -> tuple[int, int]:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack_from(">II", head, 16)
    elif head.startswith((b"GIF87a", b"GIF89a")):
        width, height = struct.unpack_from("<HH", head, 6)
    elif head.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", head, 18)
    elif head.startswith(b"\xff\xd8"):
        stream.seek(2)
        return _jpeg_size(stream)
    else:
        raise ValueError("is no PNG, JPEG, GIF or BMP image, whatever its name says")
    return width, abs(height)  # a BMP of negative height is stored from the top


def _jpeg_size(stream: IO[bytes]) -> tuple[int, int]:
    """Walk over the segments up to the one with the size."""
    while True:
        (mark,) = struct.unpack(">B", stream.read(1))
        if mark != 0xFF:
            raise ValueError("the image is damaged: no JPEG marker where one must be")
        while mark == 0xFF:  # any number of them may stand before a marker
            (mark,) = struct.unpack(">B", stream.read(1))
        if mark in _ALONE:
            continue
        if mark in _FRAMES:
            _, _, height, width = struct.unpack(">HBHH", stream.read(7))
            return width, height
        (length,) = struct.unpack(">H", stream.read(2))
        stream.seek(length - 2, 1)
